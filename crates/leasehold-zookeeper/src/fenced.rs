//! Writes that have an effect only as long as the session is this incarnation's.
//!
//! Each is a transaction that first checks the [incarnation](crate::incarnation). One whose check fails tells the session's liveness
//! why, and is answered as `SessionExpired`. Where the client is the application's nobody can resume the session, and
//! there is no check.
//!
//! [`Fenced::commit`] and [`Fenced::create_entry`] hand the transaction to the client when they are called, not when the future is
//! polled.

use std::future::Future;

use leasehold_core::LivenessCell;
use zookeeper_client::{Client, CreateOptions, Error, MultiWriteResult, MultiWriter, Stat};

use crate::failure;
use crate::incarnation::{self, Incarnation};
use crate::layout::{Layout, NodeName};

/// The failure of a transaction, and which of its operations it is of, if it is one's.
pub(crate) type Failed = (Option<usize>, Error);

/// A client whose writes are checked.
#[derive(Clone, Copy)]
pub(crate) struct Fenced<'a> {
    pub(crate) client: &'a Client,
    pub(crate) fence: Option<(&'a Incarnation, &'a LivenessCell)>,
}

impl<'a> Fenced<'a> {
    /// Without a check.
    pub(crate) fn unfenced(client: &'a Client) -> Self {
        Self { client, fence: None }
    }

    /// A transaction of the operations that `fill` adds; there is at least one.
    pub(crate) fn commit(
        self,
        fill: impl FnOnce(&mut MultiWriter<'a>) -> Result<(), Error>,
    ) -> impl Future<Output = Result<Vec<MultiWriteResult>, Failed>> + Send + 'a {
        let mut writer = self.client.new_multi_writer();
        let prepare = || {
            if let Some((incarnation, _)) = self.fence {
                incarnation.check(&mut writer)?;
            }
            fill(&mut writer)?;
            Ok(writer.commit())
        };
        let reply = prepare();
        async move {
            let reply = reply.map_err(|error| (None, error))?;
            let outcome = reply.await.map_err(failure::split);
            let Some((_, liveness)) = self.fence else { return outcome };
            match outcome {
                Ok(mut results) => {
                    // That of the check.
                    results.remove(0);
                    Ok(results)
                }
                Err((Some(0), error)) => Err((None, incarnation::check_failed(liveness, error))),
                Err((index, error)) => Err((index.map(|index| index - 1), error)),
            }
        }
    }

    /// One operation.
    fn alone(
        self,
        fill: impl FnOnce(&mut MultiWriter<'a>) -> Result<(), Error>,
    ) -> impl Future<Output = Result<Option<MultiWriteResult>, Error>> + Send + 'a {
        let committed = self.commit(fill);
        async move { Ok(committed.await.map_err(|(_, error)| error)?.pop()) }
    }

    pub(crate) async fn create(
        self,
        path: &str,
        value: &[u8],
        options: &CreateOptions<'_>,
    ) -> Result<(), Error> {
        self.alone(|writer| writer.add_create(path, value, options)).await.map(drop)
    }

    pub(crate) async fn set_data(
        self,
        path: &str,
        value: &[u8],
        version: Option<i32>,
    ) -> Result<Stat, Error> {
        match self.alone(|writer| writer.add_set_data(path, value, version)).await? {
            Some(MultiWriteResult::SetData { stat }) => Ok(stat),
            _ => Err(answered_in_part()),
        }
    }

    pub(crate) async fn delete(self, path: &str) -> Result<(), Error> {
        self.alone(|writer| writer.add_delete(path, None)).await.map(drop)
    }

    /// Creates a sequential node of a layout; its name, and the zxid of the creation where that comes with the answer.
    ///
    /// # Errors
    /// `NoNode` if the directory does not exist.
    pub(crate) fn create_entry(
        self,
        layout: Layout,
        prefix: &str,
        value: &[u8],
        options: &CreateOptions<'_>,
    ) -> impl Future<Output = Result<(NodeName, Option<i64>), Error>> + Send + 'a {
        let fence = self.fence;
        let committed = self.commit(move |writer| {
            if let Some((incarnation, _)) = fence {
                writer.add_set_data(incarnation.zxid_path(), &[], None)?;
            }
            writer.add_create(prefix, value, options)
        });
        async move {
            let results = match (committed.await, fence) {
                (Ok(results), _) => results,
                // Its own nodes were removed by hand.
                (Err((Some(0), error)), Some((_, liveness))) => {
                    return Err(incarnation::check_failed(liveness, error));
                }
                (Err((_, error)), _) => return Err(error),
            };
            let mut zxid = None;
            for result in results {
                match result {
                    MultiWriteResult::SetData { stat } => zxid = Some(stat.mzxid),
                    MultiWriteResult::Create { path, stat } => {
                        let name = path.rsplit('/').next().and_then(|name| layout.entry(name));
                        let name = name.ok_or_else(answered_in_part)?;
                        return Ok((name, zxid.or((!stat.is_invalid()).then_some(stat.czxid))));
                    }
                    _ => {}
                }
            }
            Err(answered_in_part())
        }
    }
}

/// Leaves a write in doubt.
fn answered_in_part() -> Error {
    Error::UnexpectedError("a transaction was answered in part".into())
}
