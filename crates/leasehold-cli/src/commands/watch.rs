//! `leasehold watch`.

use std::io::{self, IsTerminal};
use std::time::{Duration, SystemTime};

use clap::Args;
use leasehold::ContenderInfo;
use rustix::termios::{Winsize, tcgetwinsize};
use tokio::time::sleep;

use crate::contender::{self, Kind};
use crate::exit::{End, Outcome};
use crate::output::{self, Format, moment};
use crate::place::Place;
use crate::status_line::fitted;
use crate::target::Target;

/// How often the ages on the screen are counted on.
const TICK: Duration = Duration::from_secs(1);

/// Show a queue, and every change of it
///
/// On a terminal it is a live view, of as much as there is room for. Elsewhere
/// it prints the queue anew after each change. It ends when it is interrupted.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Of which recipe
    #[arg(long, value_enum, value_name = "RECIPE", default_value = "mutex")]
    recipe: Kind,
    #[command(flatten)]
    format: Format,
}

pub(crate) async fn run(target: &Target, arguments: &Arguments) -> Outcome {
    if arguments.place.is_key() {
        return Err(arguments.place.lacks("a queue that tells of its changes", "look at it with who"));
    }
    let coordinator = target.connect(None, None).await?;
    let admin = arguments.place.admin(&coordinator);
    let mut queue = admin.observe(arguments.recipe.recipe(), arguments.place.text())?;
    let live = io::stdout().is_terminal() && !arguments.format.json;
    let mut seen: Option<Vec<ContenderInfo>> = None;
    loop {
        tokio::select! {
            state = queue.next() => match state {
                Some(state) => seen = Some(state),
                None => return Ok(End::DONE),
            },
            () = sleep(TICK), if live => {}
        }
        let Some(contenders) = &mut seen else { continue };
        age(contenders);
        let text = text(arguments, contenders);
        output::write(&if live { frame(&text, tcgetwinsize(io::stdout()).ok()) } else { text })?;
    }
}

/// Counts the ages on to now.
fn age(contenders: &mut [ContenderInfo]) {
    for details in contenders.iter_mut().filter_map(|contender| contender.details.as_mut()) {
        details.age = SystemTime::now().duration_since(details.since).unwrap_or_default();
    }
}

fn text(arguments: &Arguments, contenders: &[ContenderInfo]) -> String {
    let (kind, name) = (arguments.recipe, arguments.place.text());
    if arguments.format.json {
        return format!("{}\n", contender::queue(kind, name, contenders));
    }
    let body = if contenders.is_empty() { "nobody\n".to_owned() } else { contender::table(contenders) };
    format!("{} {name:?} at {}\n{body}", kind.word(), moment(SystemTime::now()))
}

/// A text in the place of the one before, as much of it as the terminal has room for.
fn frame(text: &str, size: Option<Winsize>) -> String {
    let (rows, columns) = size.map_or((0, 0), |size| (usize::from(size.ws_row), size.ws_col));
    let mut lines: Vec<_> = text.lines().map(|line| fitted(line, columns)).collect();
    // The last line is the cursor's.
    if let Some(room) = rows.checked_sub(1).filter(|room| (1..lines.len()).contains(room)) {
        let hidden = lines.len() - room + 1;
        lines.truncate(room - 1);
        lines.push(format!("… and {hidden} more"));
    }
    // From the corner on; each line up to its end, and all below the last.
    let lines: String = lines.iter().map(|line| format!("{line}\x1b[K\n")).collect();
    format!("\x1b[H{lines}\x1b[J")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_fits_the_terminal() {
        let size = |rows, columns| Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let shown = |size| frame("head\n1\n2\n3\n", size).replace("\x1b[K", "").replace("\x1b[J", "");
        assert_eq!(shown(None), "\x1b[Hhead\n1\n2\n3\n");
        assert_eq!(shown(Some(size(5, 80))), "\x1b[Hhead\n1\n2\n3\n");
        assert_eq!(shown(Some(size(4, 80))), "\x1b[Hhead\n1\n… and 2 more\n");
        assert_eq!(shown(Some(size(5, 4))), "\x1b[Hhe…\n1\n2\n3\n");
    }
}
