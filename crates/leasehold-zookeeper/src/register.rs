//! Registers: persistent nodes, whose version is that of their data.
//!
//! A server answers reads from what it has, which may be behind what others were told. So a read has a `sync` ahead of it: sent one behind the
//! other without waiting, the server answers the second from no older state than the first led it to. What is left is ZooKeeper's own limit: a
//! leader that was deposed and does not know it yet answers a `sync` too.

use leasehold_core::{
    AttemptId, BackendError, BackendErrorKind, KeyPath, RegisterWrite, RegisterWritten, Versioned,
};
use zookeeper_client::{CreateMode, Error, MultiWriteResult};

use crate::backend::MAX_VALUE_BYTES;
use crate::layout::Directory;
use crate::ledger::Trace;
use crate::link::{Link, Request};
use crate::version;
use crate::waiting;
use crate::watches::{Fired, Seen, Subject};

pub(crate) async fn read(link: &Link, register: &KeyPath) -> Result<Option<Versioned>, BackendError> {
    let request = link.request("reading a register")?;
    let path = format!("/{register}");
    request
        .run(async {
            let client = request.client();
            let (synced, data) = (client.sync(&path), client.get_data(&path));
            request.read(synced).await?;
            match data.await {
                Ok((value, stat)) => {
                    Ok(Some(Versioned { value: value.into(), version: version::of_data(stat.version) }))
                }
                Err(Error::NoNode) => Ok(None),
                Err(error) => Err(request.unread(error)),
            }
        })
        .await
}

pub(crate) async fn write(
    link: &Link,
    register: &KeyPath,
    write: RegisterWrite,
) -> Result<RegisterWritten, BackendError> {
    check_size(write.value.len())?;
    let request = link.lasting_request("writing a register")?;
    let writing = Writing { link, request: &request, path: format!("/{register}"), write: &write };
    request.run(writing.run()).await
}

pub(crate) async fn changed(link: &Link, register: &KeyPath, seen: u64) -> Result<(), BackendError> {
    let path = format!("/{register}");
    loop {
        let mut watch = waiting::arm(link, Subject::Data, &path).await?;
        if matches!(watch.seen, Seen::Absent) && seen == 0 {
            watch = waiting::arm(link, Subject::Creation, &path).await?;
        }
        let now = match watch.seen {
            Seen::Node { version, .. } => version,
            Seen::Absent | Seen::Children(_) => 0,
        };
        if now != seen {
            return Ok(());
        }
        if matches!(waiting::fired(link, watch).await?, Fired::Deleted | Fired::Vanished) && seen != 0 {
            return Ok(());
        }
    }
}

/// Refuses a value that the server would answer by closing the connection.
pub(crate) fn check_size(bytes: usize) -> Result<(), BackendError> {
    if bytes <= MAX_VALUE_BYTES {
        return Ok(());
    }
    let message = format!("a value of {bytes} bytes; ZooKeeper takes {MAX_VALUE_BYTES}");
    Err(BackendError::new(BackendErrorKind::TooLarge, message))
}

/// How a write is tried: what the node has to be like for it.
#[derive(Clone, Copy)]
enum Form {
    Create,
    Set { data_version: Option<i32> },
}

/// What the server decided about one try.
enum Decision {
    Written { version: u64 },
    NotHeld,
    Absent,
    Exists,
    VersionDiffers,
}

struct Writing<'a> {
    link: &'a Link,
    request: &'a Request<'a>,
    path: String,
    write: &'a RegisterWrite,
}

impl Writing<'_> {
    async fn run(&self) -> Result<RegisterWritten, BackendError> {
        let mut form = match self.write.if_version {
            Some(0) => Form::Create,
            Some(expected) => match version::to_data(expected) {
                Some(data_version) => Form::Set { data_version: Some(data_version) },
                None => return self.differs_unless_not_held().await,
            },
            None => Form::Set { data_version: None },
        };
        let mut refuted = None;
        loop {
            let holder = match &self.write.if_held {
                None => None,
                Some((queue, attempt)) => match self.find_entry(queue, *attempt, refuted.as_ref()).await? {
                    None => return Ok(RegisterWritten::NotHeld),
                    found => found,
                },
            };
            match (self.attempt(form, holder.as_deref()).await?, form) {
                (Decision::Written { version }, _) => return Ok(RegisterWritten::Written { version }),
                // It is gone, or a change of mode has replaced it.
                (Decision::NotHeld, _) => refuted = holder,
                (Decision::VersionDiffers, _) | (Decision::Absent, Form::Set { data_version: Some(_) }) => {
                    return Ok(RegisterWritten::VersionDiffers);
                }
                (Decision::Exists, _) if self.write.if_version.is_some() => {
                    return Ok(RegisterWritten::VersionDiffers);
                }
                (Decision::Exists, _) => form = Form::Set { data_version: None },
                (Decision::Absent, Form::Set { data_version: None }) => form = Form::Create,
                (Decision::Absent, Form::Create) => self.request.create_parents(&self.path).await?,
            }
        }
    }

    /// A version that no node can have: only whether the attempt holds is still open.
    async fn differs_unless_not_held(&self) -> Result<RegisterWritten, BackendError> {
        if let Some((queue, attempt)) = &self.write.if_held
            && self.listed_entry(queue, *attempt).await?.is_none()
        {
            return Ok(RegisterWritten::NotHeld);
        }
        Ok(RegisterWritten::VersionDiffers)
    }

    /// The path of the attempt's node, as far as is known; `refuted` is what it turned out not to be.
    async fn find_entry(
        &self,
        queue: &KeyPath,
        attempt: AttemptId,
        refuted: Option<&String>,
    ) -> Result<Option<String>, BackendError> {
        match (self.link.ledger.trace(attempt), refuted) {
            (Some(Trace::Placed { name, .. }), None) => Ok(Some(Directory::of(queue).path_of(&name))),
            _ => Ok(self.listed_entry(queue, attempt).await?.filter(|path| refuted != Some(path))),
        }
    }

    async fn listed_entry(
        &self,
        queue: &KeyPath,
        attempt: AttemptId,
    ) -> Result<Option<String>, BackendError> {
        let directory = Directory::of(queue);
        let children = match self.request.client().list_children(&directory.path).await {
            Err(Error::NoNode) => return Ok(None),
            children => children.map_err(|error| self.request.unread(error))?,
        };
        let mut names = children.iter().filter_map(|child| directory.layout.entry(child));
        Ok(names.find(|name| name.attempt == attempt).map(|name| directory.path_of(&name)))
    }

    async fn attempt(&self, form: Form, holder: Option<&str>) -> Result<Decision, BackendError> {
        let (outcome, at_check) = match holder {
            None => (self.alone(form).await, false),
            Some(holder) => match self.with_check(form, holder).await {
                Err((Some(0), error)) => (Err(error), true),
                Err((_, error)) => (Err(error), false),
                Ok(version) => (Ok(version), false),
            },
        };
        match outcome {
            Ok(version) => Ok(Decision::Written { version }),
            Err(Error::NoNode) if at_check => Ok(Decision::NotHeld),
            Err(Error::NoNode) => Ok(Decision::Absent),
            Err(Error::NodeExists) => Ok(Decision::Exists),
            Err(Error::BadVersion) => Ok(Decision::VersionDiffers),
            Err(error) => Err(self.request.unwritten(error)),
        }
    }

    async fn alone(&self, form: Form) -> Result<u64, Error> {
        let (client, value) = (self.request.fenced(), &self.write.value);
        match form {
            Form::Create => {
                let options = self.link.options(CreateMode::Persistent);
                self.request.write(client.create(&self.path, value, &options)).await?;
                Ok(version::of_data(0))
            }
            Form::Set { data_version } => {
                let stat = self.request.write(client.set_data(&self.path, value, data_version)).await?;
                Ok(version::of_data(stat.version))
            }
        }
    }

    /// In one transaction with a check that the holder's node exists. An error comes with the operation it is of.
    async fn with_check(&self, form: Form, holder: &str) -> Result<u64, (Option<usize>, Error)> {
        let committed = self.request.fenced().commit(|writer| {
            writer.add_check_version(holder, -1)?;
            match form {
                Form::Create => {
                    let options = self.link.options(CreateMode::Persistent);
                    writer.add_create(&self.path, &self.write.value, &options)
                }
                Form::Set { data_version } => {
                    writer.add_set_data(&self.path, &self.write.value, data_version)
                }
            }
        });
        let mut failed_at = None;
        let committed = async {
            committed.await.map_err(|(index, error)| {
                failed_at = index;
                error
            })
        };
        match self.request.write(committed).await {
            Ok(results) => match results.last() {
                Some(MultiWriteResult::SetData { stat }) => Ok(version::of_data(stat.version)),
                _ => Ok(version::of_data(0)),
            },
            Err(error) => Err((failed_at, error)),
        }
    }
}
