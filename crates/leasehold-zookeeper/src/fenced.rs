//! Writes that have an effect only as long as the session is this incarnation's.
//!
//! Each is a transaction that first checks the [incarnation](crate::incarnation). One whose check fails tells the session's liveness
//! why, and is answered as `SessionExpired`. Where the client is the application's nobody can resume the session, and
//! there is no check.
//!
//! [`Fenced::commit`], [`Fenced::create_entry`] and [`Fenced::create_entry_and_count`] hand the transaction to the client when they are called, not when the future is
//! polled.

use std::future::Future;

use leasehold_core::LivenessCell;
use zookeeper_client::{Client, CreateOptions, Error, MultiWriteResult, MultiWriter, Stat};

use crate::failure;
use crate::incarnation::{self, Incarnation};
use crate::layout::{Layout, NodeName};
use crate::listing::{Children, Listing};

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

    /// Creates a sequential node of a layout.
    ///
    /// # Errors
    /// `NoNode` if the directory does not exist.
    pub(crate) fn create_entry(
        self,
        layout: Layout,
        prefix: &str,
        value: &[u8],
        options: &CreateOptions<'_>,
    ) -> impl Future<Output = Result<Created, Error>> + Send + 'a {
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
            Created::read(layout, results)
        }
    }

    /// The same in a directory of ours, which is counted in the same transaction: setting its data, of which it has none, is answered
    /// with the number of its children and with the zxid.
    ///
    /// # Errors
    /// `NoNode` if the directory does not exist; of the second operation, if the session may not write to it.
    pub(crate) fn create_entry_and_count(
        self,
        directory: &str,
        layout: Layout,
        prefix: &str,
        value: &[u8],
        options: &CreateOptions<'_>,
    ) -> impl Future<Output = Result<Created, Failed>> + Send + 'a {
        let committed = self.commit(move |writer| {
            writer.add_create(prefix, value, options)?;
            writer.add_set_data(directory, &[], None)
        });
        async move { Created::read(layout, committed.await?).map_err(|error| (None, error)) }
    }
}

/// An entry that was created.
pub(crate) struct Created {
    pub(crate) name: NodeName,
    /// Of the creation, where that came with the answer.
    pub(crate) zxid: Option<i64>,
    /// The directory as it was then, if it was counted.
    pub(crate) directory: Option<Stat>,
}

impl Created {
    fn read(layout: Layout, results: Vec<MultiWriteResult>) -> Result<Self, Error> {
        let (mut set, mut created) = (None, None);
        for result in results {
            match result {
                MultiWriteResult::SetData { stat } => set = Some(stat),
                MultiWriteResult::Create { path, stat } => {
                    let name = path.rsplit('/').next().and_then(|name| layout.entry(name));
                    created = Some((name.ok_or_else(answered_in_part)?, stat));
                }
                _ => {}
            }
        }
        let (name, stat) = created.ok_or_else(answered_in_part)?;
        let zxid = match &set {
            Some(set) => Some(set.mzxid),
            None => (!stat.is_invalid()).then_some(stat.czxid),
        };
        // The other node that is set has no children.
        Ok(Self { name, zxid, directory: set.filter(|stat| stat.num_children > 0) })
    }

    /// The queue, if the entry is the only one in it.
    pub(crate) fn alone(&self) -> Option<Listing> {
        let directory = self.directory.filter(|stat| stat.num_children == 1)?;
        let children = Children::of_one(self.name, directory.pzxid);
        Some(if children.is_saturated() {
            children.by_creation([(self.name, directory.mzxid)].into())
        } else {
            children.by_sequence()
        })
    }
}

/// Leaves a write in doubt.
fn answered_in_part() -> Error {
    Error::UnexpectedError("a transaction was answered in part".into())
}
