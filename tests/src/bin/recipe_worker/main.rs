//! A worker process that does with the recipes what it is told, line by line.
//!
//! `leasehold-test-recipe-worker URL` prints `ready` once it is connected. From then on a line of its standard input is `ID COMMAND`,
//! where ID is a word that the test makes up, and every line that it prints is `ID OUTCOME`. Commands of one ID are carried out one
//! after the other, those of different IDs side by side. It ends when its standard input is closed, without giving anything back, and
//! with the status 2 and a message when it is told something that it does not understand.
//!
//! | command | outcomes |
//! |---|---|
//! | `mutex lock\|try NAME` | a hold |
//! | `rw_lock read\|write\|try_read\|try_write NAME` | a hold |
//! | `rw_lock stress NAME DIR TIMES` | `done` |
//! | `semaphore acquire\|try NAME LIMIT COUNT` | a hold |
//! | `semaphore stress NAME LIMIT COUNT FILE TIMES` | `done MOST` |
//! | `multi lock NAME…` | `granted TOKEN…`, then `lost NAME REASON`; `release` → `released` |
//! | `multi stress DIR TIMES NAME…` | `done` |
//! | `election campaign\|try NAME VALUE`, `election resume NAME TICKET` | a hold |
//! | `election leader NAME`, `election observe NAME` | `leader VALUE TOKEN`, `nobody`; the second for ever |
//! | `barrier set\|lift\|is_set\|wait NAME` | `set`, `lifted`, `true` or `false`, `passed` |
//! | `latch count_down\|wait NAME COUNT` | `left N`, `open` |
//! | `once run NAME OCCURRENCE RESULT` | `running TOKEN`; `finish` → `done RESULT here` or, too late, `nothing runs`, `fail` → `failed`; `done RESULT elsewhere` |
//! | `once completion NAME OCCURRENCE` | `done RESULT elsewhere`, `open` |
//! | `register read\|write\|compare_and_set\|changed\|append …` | `value VALUE VERSION`, `nothing`, `version N`, `other version`, `done` |
//! | `counter get NAME`, `counter add NAME AMOUNT TIMES` | `counted N…` |
//! | `group join NAME VALUE` | a hold |
//! | `group members NAME` | `members VALUE…` |
//! | `group events NAME` | `joined VALUE`, `changed VALUE`, `left VALUE` for ever |
//! | `partition run NAME DIR ITEM…` | `owns ITEM`, `gave ITEM`; `stop` → `over` |
//! | `double_barrier enter NAME PARTIES` | `entered ROUND`; `leave` → `left` |
//! | `admin contenders\|ask\|force_release RECIPE NAME [WHO]` | `contenders STANDING:PID…`, `asked N`, `released HOW` |
//!
//! **A hold** is `granted TOKEN` or `busy`. Then it says `lost REASON` and `asked WHO` when that happens, and takes `release` →
//! `released`, `write REGISTER VALUE` → `version N` (on condition of the hold), and according to what it is `downgrade` →
//! `downgraded`, `proclaim VALUE` → `proclaimed`, `ticket` → `ticket HEX`, `set_value VALUE` → `value set`.
//!
//! What is done with a DIR is witnessed there: the process ends with the status 2 if a lock does not exclude or a token does not rise.
//!
//! Whatever fails says `error KIND REASON: MESSAGE`; the reason is `-` if it is not a loss.

mod actor;
mod admin;
mod elections;
mod groups;
mod holds;
mod locks;
mod once;
mod registers;

use std::collections::HashMap;
use std::io;
use std::process::exit;

use tokio::sync::mpsc;

use crate::actor::Actor;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url] = arguments.as_slice() else { refuse("usage: leasehold-test-recipe-worker URL") };
    let coordinator = match leasehold::connect(url).await {
        Ok(coordinator) => coordinator,
        Err(error) => refuse(&format!("{error:?}")),
    };
    println!("ready");
    let mut lines = lines();
    let mut actors: HashMap<String, mpsc::UnboundedSender<String>> = HashMap::new();
    while let Some(line) = lines.recv().await {
        let Some((id, command)) = line.trim().split_once(' ') else {
            refuse(&format!("not `ID COMMAND`: {line:?}"));
        };
        let commands = actors.entry(id.to_owned()).or_insert_with(|| {
            let (commands, receiver) = mpsc::unbounded_channel();
            tokio::spawn(Actor::new(id, coordinator.clone(), receiver).run());
            commands
        });
        if commands.send(command.to_owned()).is_err() {
            // Its task panicked, and has said why.
            exit(1);
        }
    }
}

/// Ends the process, with the reason on its standard error.
fn refuse(why: &str) -> ! {
    eprintln!("recipe worker: {why}");
    exit(2);
}

/// The lines of the standard input, whose end is the process's: the test has closed it, or is gone.
fn lines() -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
        exit(0);
    });
    receiver
}
