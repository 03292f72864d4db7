use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::StartError;
use super::options::ServerOptions;
use super::ports::Port;
use super::server::kind::Kind;
use super::server::{Package, Server};
use super::storage;
use super::watchdog::CommandLine;

/// A server that this crate does not know, for worlds of backends that are written elsewhere.
///
/// ```no_run
/// use std::io;
/// use std::process::Command;
/// use leasehold_testkit::servers::{Place, Program, ProgramServer, ServerOptions, StartError, find_program};
///
/// #[derive(Debug)]
/// struct Mine;
///
/// impl Program for Mine {
///     const NAME: &'static str = "mine";
///
///     fn command(place: &Place) -> Result<Command, StartError> {
///         let mut command = Command::new(find_program("Mine", "mine-server", "MINE_BIN", "mined")?);
///         command.arg("--port").arg(place.port().to_string()).arg("--dir").arg(place.data_dir());
///         Ok(command)
///     }
///
///     async fn serves(endpoint: &str) -> bool {
///         tokio::net::TcpStream::connect(endpoint).await.is_ok() // better: ask it something
///     }
/// }
///
/// # async fn test() {
/// let server = ProgramServer::<Mine>::start(ServerOptions::default()).await;
/// server.kill().await;
/// server.restart().await; // the same data, the same port
/// # }
/// ```
pub trait Program: Send + Sync + 'static {
    /// What the server is called in errors and file names.
    const NAME: &'static str;

    /// The signal that ends it as suddenly as may be. One that consists of several processes, of which only the first would be killed,
    /// may have to be asked: by a signal that it handles itself, since `INT` and `QUIT` are ignored otherwise. If it does not end
    /// within ten seconds it is killed.
    const STOP: &'static str = "KILL";

    /// Makes its place ready, and answers what runs the server there in the foreground. It is called once a server; a restart runs the
    /// same command again over the same data.
    ///
    /// # Errors
    /// What the machine refuses; the test ends with it.
    fn command(place: &Place) -> Result<Command, StartError>;

    /// Whether the server at `host:port` serves clients now.
    fn serves(endpoint: &str) -> impl Future<Output = bool> + Send;
}

/// Where a server is to run.
#[derive(Debug)]
pub struct Place {
    port: u16,
    dir: PathBuf,
}

impl Place {
    /// The port of 127.0.0.1 that it shall listen on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A directory of its own, which does not exist yet; it goes with the server.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// The directory above it, for what else the server needs. Its standard output and error go there, into `log`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Runs a command that makes the place ready, to its end.
    ///
    /// # Errors
    /// If it cannot be run or fails, with what it said.
    pub fn prepare(&self, command: &mut Command) -> Result<(), StartError> {
        let what = format!("cannot run {}", command.get_program().display());
        let output = command.output().map_err(StartError::io(what.clone()))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(StartError::io(what)(io::Error::other(format!("{}: {said}", output.status))))
    }
}

/// The path of a program: as the environment `variable` says, or `usual`, looked up in `PATH` if it is a name without a slash.
///
/// # Errors
/// [`StartError::Missing`], which names the package to install; nothing is ever skipped.
pub fn find_program(
    what: &'static str,
    package: &'static str,
    variable: &'static str,
    usual: &str,
) -> Result<PathBuf, StartError> {
    Package { what, package, variable }.program(None, usual)
}

/// A [`Program`], as a [`Service`](super::Service).
#[derive(Debug)]
pub struct Programmed<P>(P);

/// One server of somebody else's.
pub type ProgramServer<P> = Server<Programmed<P>>;

impl<P: Program> Kind for Programmed<P> {
    const NAME: &'static str = P::NAME;

    async fn launch(options: &ServerOptions, members: usize) -> Result<Vec<Server<Self>>, StartError> {
        let mut servers = Vec::with_capacity(members);
        for _ in 0..members {
            let port = Port::reserve()?;
            let placed = storage::fresh_dir(options.storage, P::NAME)?;
            let place = Place { port: port.number(), dir: placed.0.clone() };
            let command = match P::command(&place) {
                Ok(command) => command,
                Err(error) => {
                    storage::remove(&placed.0);
                    return Err(error);
                }
            };
            let mut args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
            args.extend(options.args.iter().cloned());
            let own =
                command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
            let env = own.chain(options.env.iter().cloned()).collect();
            let program = options.program.clone().unwrap_or_else(|| command.get_program().into());
            let line = CommandLine {
                program,
                args,
                env,
                foreign_env_prefix: None,
                stop_signal: P::STOP,
                network: None,
            };
            servers.push(Server::launch(line, placed, port, Vec::new()).await?);
        }
        Ok(servers)
    }

    async fn serves(endpoint: &str) -> bool {
        P::serves(endpoint).await
    }

    /// Only what is known to this crate forms clusters.
    async fn leads(_endpoint: &str) -> bool {
        false
    }
}
