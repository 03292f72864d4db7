//! Help, manual page and completions: each subcommand is there, in 80 columns, in a form that their readers take.

use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::{PATIENCE, output, text};

const SUBCOMMANDS: [&str; 11] = [
    "run",
    "elect",
    "observe",
    "ls",
    "who",
    "force-release",
    "watch",
    "doctor",
    "bench",
    "completions",
    "man",
];

async fn printed(arguments: &[&str]) -> String {
    let printed = output("", arguments).await;
    assert_eq!(printed.status.code(), Some(0), "{arguments:?}: {}", text(&printed.stderr));
    text(&printed.stdout)
}

fn fits(what: &str, text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{what}: {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn help_is_there_for_every_subcommand_in_80_columns() {
    for option in ["-h", "--help"] {
        let help = printed(&[option]).await;
        assert!(help.contains("Exit status"), "{help}");
        fits(option, &help);
        for subcommand in SUBCOMMANDS {
            assert!(help.contains(&format!("\n  {subcommand} ")), "{subcommand}");
            let own = printed(&[subcommand, option]).await;
            assert!(own.contains(&format!("Usage: leasehold {subcommand}")), "{own}");
            fits(&format!("{subcommand} {option}"), &own);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manual_page_is_set_without_a_warning_in_80_columns() {
    let page = printed(&["man"]).await;
    let mut groff = Command::new("groff");
    groff.args(["-man", "-Kutf8", "-Tutf8", "-ww", "-rLL=80n", "-P-cbou"]).kill_on_drop(true);
    groff.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut groff = groff.spawn().expect("Debian package groff-base, as ci/install.sh installs it");
    let mut input = groff.stdin.take().unwrap();
    let (_, set) = tokio::join!(
        async move { input.write_all(page.as_bytes()).await.unwrap() },
        timeout(PATIENCE, groff.wait_with_output())
    );
    let set = set.expect("it ends").unwrap();
    assert_eq!(text(&set.stderr), "");
    let shown = text(&set.stdout);
    fits("the page", &shown);
    for word in ["EXIT STATUS", "LEASEHOLD_TOKEN", "ENVIRONMENT", "EXAMPLES"] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    for subcommand in SUBCOMMANDS {
        assert!(shown.contains(&format!("\nLEASEHOLD {}\n", subcommand.to_uppercase())), "{subcommand}");
    }
}

/// Bash is there wherever the tests run; the others' scripts are read by nobody here.
#[tokio::test(flavor = "multi_thread")]
async fn completions_load_and_complete() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = printed(&["completions", shell]).await;
        for subcommand in SUBCOMMANDS {
            assert!(script.contains(subcommand), "{shell}: {subcommand}");
        }
        for hidden in ["__leash", "__launch"] {
            assert!(!script.contains(hidden), "{shell}: what is hidden is not completed");
        }
    }
    let script = printed(&["completions", "bash"]).await;
    let ask = r#"
        set -eu
        COMP_WORDS=(leasehold fo) COMP_CWORD=1
        _leasehold leasehold fo leasehold
        printf '%s\n' "${COMPREPLY[@]}"
        COMP_WORDS=(leasehold run a --on-lost '') COMP_CWORD=4
        _leasehold leasehold '' --on-lost
        printf '%s\n' "${COMPREPLY[@]}""#;
    let mut bash = Command::new("bash");
    bash.args(["-c", &format!("{script}\n{ask}")]).stdin(Stdio::null()).kill_on_drop(true);
    let told = timeout(PATIENCE, bash.output()).await.expect("it ends").unwrap();
    assert_eq!(text(&told.stdout), "force-release\nterm\nkill\nwarn\n", "{}", text(&told.stderr));
}
