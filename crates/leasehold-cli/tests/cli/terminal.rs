//! The command on a terminal: Ctrl-C, Ctrl-Z and `fg` while it waits and while it runs something, in a shell, a script and a pipeline; what is
//! shown meanwhile, and what is asked.

use leasehold_testkit::servers::{RedisServer, ServerOptions};

use crate::support::{document, end_of, holder, output, text, until_gone, until_queued};
use crate::tty::{CTRL_C, CTRL_Z, Shell};

async fn server() -> (RedisServer, String) {
    let server = RedisServer::start(ServerOptions::default()).await;
    let url = format!("redis://{}/terminal", server.endpoint());
    (server, url)
}

/// A command that says this and stays. It is one process when it says so: a shell that is about to start another may lose a signal (dash
/// 0.5.12 does).
fn staying(word: &str) -> String {
    format!(r#"perl -e "print STDERR qq({word}\n); sleep 60""#)
}

/// A command that says which process it is, reads a line and says that.
const READER: &str = r#"sh -c 'echo has-$$-; read line; echo got-$line'"#;

/// Waits until it reads.
fn it_reads(shell: &mut Shell) {
    shell.expect("has-");
    let process = shell.expect("-").parse().expect("a process id");
    shell.until_it_reads(process);
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_reaches_the_command_once_and_its_status_is_ours() {
    let (_server, url) = server().await;
    let mut shell = Shell::start(&url);
    let trapping = r#"sh -c 'trap "echo int-$((1+1))" INT; echo has-$((1+1)); sleep 1; sleep 1; exit 5'"#;
    shell.type_line(&format!("leasehold run a -- {trapping}"));
    shell.expect("has-2");
    shell.type_text(CTRL_C);
    shell.expect("int-2");
    let (status, before) = shell.status();
    assert_eq!((status, before.matches("int-2").count()), (5, 0), "once: {before}");

    shell.type_line(&format!("leasehold run a -- {}", staying("has-2")));
    shell.expect("has-2");
    shell.interrupt();
    assert_eq!(shell.status().0, 130);
    assert!(text(&output(&url, &["who", "a"]).await.stdout).contains("nobody"));
}

/// A loop that Ctrl-C ends, as it would without us.
async fn ends_a_loop(start: &str, end: &str) {
    let (_server, url) = server().await;
    let mut shell = Shell::start(&url);
    let rounds = format!("for i in 1 2 3; do leasehold run a -- {}; done", staying("round-$i"));
    shell.type_line(&format!("{start}{rounds}{end}"));
    shell.expect("round-1");
    let before = shell.interrupt();
    assert_eq!((shell.status().0, before.contains("round-2")), (130, false), "{before}");
    assert!(text(&output(&url, &["who", "a"]).await.stdout).contains("nobody"));
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_a_loop_in_the_shell() {
    ends_a_loop("", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_a_loop_in_a_script_of_bash() {
    ends_a_loop("bash -c '", "'").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_a_loop_in_a_script_of_sh() {
    ends_a_loop("sh -c '", "'").await;
}

/// Ctrl-Z stops it and all around it, `fg` has it all go on, and it reads from the terminal after that.
fn stops_and_goes_on(shell: &mut Shell, line: &str) {
    shell.type_line(line);
    it_reads(shell);
    shell.type_text(CTRL_Z);
    shell.expect("Stopped");
    shell.type_line("echo shell-$((1+1))");
    shell.expect("shell-2");
    shell.type_line("fg");
    shell.type_line("word");
    shell.expect("got-word");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_z_stops_a_job_and_fg_has_it_go_on() {
    let (_server, url) = server().await;
    let mut shell = Shell::start(&url);
    stops_and_goes_on(&mut shell, &format!("leasehold run a -- {READER}"));
    assert_eq!(shell.status().0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_z_stops_a_script_and_fg_has_it_go_on() {
    let (_server, url) = server().await;
    let mut shell = Shell::start(&url);
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("script");
    std::fs::write(&script, format!("leasehold run a -- {READER}\necho after-$?\n")).unwrap();
    stops_and_goes_on(&mut shell, &format!("sh {}", script.display()));
    shell.expect("after-0");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_stopped_for_longer_than_the_ttl_does_not_go_on() {
    let (_server, url) = server().await;
    let mut shell = Shell::start(&url);
    shell.type_line(&format!("leasehold run a --ttl 2s -- {READER}"));
    it_reads(&mut shell);
    shell.type_text(CTRL_Z);
    shell.expect("Stopped");
    let next = output(&url, &["run", "a", "--wait", "20s", "--", "echo", "mine"]).await;
    assert_eq!(text(&next.stdout), "mine\n", "{}", text(&next.stderr));
    shell.type_line("fg");
    shell.expect("\"a\" was lost");
    let (status, before) = shell.status();
    assert_eq!((status, before.contains("got-")), (74, false), "{before}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_has_the_terminal_together() {
    let (_server, url) = server().await;
    let mut shell = Shell::start(&url);
    // The command reads what is typed although it is not alone.
    shell.type_line(&format!("leasehold run a -- {READER} | sed s/got/heard/"));
    shell.expect("has-");
    shell.type_line("word");
    shell.expect("heard-word");
    // And so does the other while the command runs.
    let other = "sh -c 'head -1; read answer </dev/tty; echo answered-$answer'";
    shell.type_line(&format!(
        "leasehold run a -- sh -c 'echo has-$((1+1)); sleep 2' | {other}; echo after-$((1+1))"
    ));
    shell.expect("has-2");
    shell.type_line("yes");
    shell.expect("answered-yes");
    shell.expect("after-2");
    // Ctrl-C is for all.
    shell.type_line(&format!("leasehold run a -- {} | cat", staying("has-2")));
    shell.expect("has-2");
    shell.interrupt();
    shell.type_line("echo ${PIPESTATUS[0]}-pipe");
    shell.expect("130-pipe");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_below_the_lock_has_jobs_of_its_own() {
    let (_server, url) = server().await;
    let mut shell = Shell::start(&url);
    shell.type_line("leasehold run a -- bash --norc --noediting -i");
    // It tells of itself, so that it is what has the terminal by then.
    shell.type_line("sh -c 'echo inner-$LEASEHOLD_NAME; read line; echo got-$line'");
    shell.expect("inner-a");
    shell.type_text(CTRL_Z);
    shell.expect("Stopped");
    shell.type_line("fg");
    shell.type_line("word");
    shell.expect("got-word");
    shell.type_line("exit 6");
    assert_eq!(shell.status().0, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_runs_in_the_background_stops_for_the_terminal_and_has_it_with_fg() {
    let (_server, url) = server().await;
    let mut shell = Shell::start(&url);
    let (mut first, _) = holder(&url, "a", &[]).await;
    shell.type_line(&format!("leasehold run a -- {READER} & wait %%; echo waited-$((1+1))"));
    until_queued(&url, "a", 2).await;
    first.terminate();
    end_of(&mut first).await;
    let before = shell.expect("has-");
    assert!(!before.contains("waiting for"), "nothing is written into what others type: {before}");
    shell.expect("Stopped");
    shell.expect("waited-2");
    shell.type_line("fg");
    shell.type_line("word");
    shell.expect("got-word");
    assert_eq!(shell.status().0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_is_shown_and_can_be_stopped_and_ended() {
    let (_server, url) = server().await;
    let mut shell = Shell::start(&url);
    let (mut first, child) = holder(&url, "a", &[]).await;
    let line = format!(
        "waiting for \"a\", place 2 of 2; held by {} pid {} for ",
        host(&url, "a").await,
        first.pid().unwrap()
    );
    shell.type_line("leasehold run a -- echo has-$((1+1))");
    shell.expect(&line);
    shell.type_text(CTRL_Z);
    let before = shell.expect("Stopped");
    assert!(before.contains("\r\x1b[K"), "the line is taken away first: {before:?}");
    shell.type_line("fg");
    shell.expect(&line);
    let before = shell.interrupt();
    assert_eq!(
        (shell.status().0, before.contains("has-2"), before.contains("\r\x1b[K")),
        (130, false, true),
        "{before:?}"
    );
    until_queued(&url, "a", 1).await;

    shell.type_line("leasehold run a -- echo has-$((1+1))");
    shell.expect(&line);
    first.terminate();
    end_of(&mut first).await;
    until_gone(child).await;
    let before = shell.expect("has-2");
    assert!(before.ends_with("\r\x1b[K"), "the line is gone when the command begins: {before:?}");
    assert_eq!(shell.status().0, 0);
    // Where nobody looks, nothing is shown.
    let (mut first, _) = holder(&url, "a", &[]).await;
    shell.type_line("leasehold run a --wait 1500ms -- true 2>&1 | sed s/^/piped:/; echo over-$((1+1))");
    let before = shell.expect("over-2");
    assert!(before.contains("piped:leasehold: \"a\" was not obtained within 1s 500ms"), "{before}");
    assert!(!before.contains("waiting for"), "{before}");
    first.terminate();
    end_of(&mut first).await;
}

async fn host(url: &str, name: &str) -> String {
    let who = document(url, &["who", name, "--json"]).await;
    who["queue"][0]["host"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_by_force_is_asked_for() {
    let (_server, url) = server().await;
    let mut shell = Shell::start(&url);
    let (mut first, child) = holder(&url, "a", &["--purpose", "backup"]).await;
    for (answer, told) in [("n", "nothing was released"), ("", "nothing was released"), ("yes", "gave it up")]
    {
        shell.type_line("leasehold force-release a");
        let shown = shell.expect("Release it? [y/N] ");
        assert!(
            shown.contains("backup") && shown.contains(&first.pid().unwrap_or_default().to_string()),
            "{shown}"
        );
        shell.type_line(answer);
        shell.expect(told);
        assert_eq!(shell.status().0, 0);
    }
    assert_eq!(end_of(&mut first).await, Some(74));
    until_gone(child).await;
    // Where the question would not be seen, it is not asked.
    shell.type_line("leasehold force-release a 2>/dev/null");
    assert_eq!(shell.status().0, 64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_watched_live() {
    let (_server, url) = server().await;
    let mut shell = Shell::start(&url);
    shell.type_line("leasehold watch a");
    shell.expect("nobody");
    let (mut first, _) = holder(&url, "a", &["--purpose", "backup"]).await;
    shell.expect("backup");
    // It is counted on without a change.
    shell.expect("3s");
    first.terminate();
    end_of(&mut first).await;
    shell.expect("nobody");
    shell.interrupt();
    assert_eq!(shell.status().0, 130);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_terminal_is_as_it_was_after_a_command_that_was_killed() {
    let (_server, url) = server().await;
    let mut shell = Shell::start(&url);
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("script");
    let line =
        "leasehold run a --max-hold 500ms --on-lost kill -- sh -c 'stty raw; echo has-$((1+1)); sleep 60'";
    std::fs::write(&script, format!("{line}\nstty -a; echo over-$((1+1))\n")).unwrap();
    shell.type_line(&format!("sh {}", script.display()));
    shell.expect("has-2");
    let after = shell.expect("over-2");
    assert!(after.contains("icanon") && !after.contains("-icanon") && !after.contains("-isig"), "{after}");
}
