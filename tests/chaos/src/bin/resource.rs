//! The fenced resource: `leasehold-chaos-resource SOCKET LOG [--no-fence]`. It prints `serves`, and ends with its standard input.

use std::error::Error;
use std::path::Path;

use leasehold_chaos::resource::serve;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (socket, log, fenced) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [socket, log] => (socket, log, true),
        [socket, log, "--no-fence"] => (socket, log, false),
        _ => return Err("usage: leasehold-chaos-resource SOCKET LOG [--no-fence]".into()),
    };
    let _commands = leasehold_testkit::process::commands();
    serve(Path::new(socket), Path::new(log), fenced).await?;
    Ok(())
}
