//! Changes of a held entry, and what others write into it meanwhile.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::{Change, HoldLimits};
use crate::acquisition::Patience;
use crate::backend::Entry;
use crate::backend_error::BackendErrorKind;
use crate::entry_value::EntryValue;
use crate::error::{Error, ErrorKind};
use crate::fake::{Fake, Script, raw};
use crate::guard::HeldGuard;
use crate::liveness::LossReason;
use crate::mode::Mode;
use crate::mutex::FirstInLine;
use crate::name::Kind;
use crate::named::{Acquire, Named};

async fn hold(fake: &Fake, mode: Mode, limits: HoldLimits) -> HeldGuard {
    let named = Named::new(fake.coordinator().await, Kind::Lock, "one");
    let acquire = Acquire { limits, ..Acquire::new("lock", &FirstInLine, mode, Patience::Forever) };
    named.acquire_patiently(acquire).await.unwrap()
}

async fn held(fake: &Fake) -> HeldGuard {
    hold(fake, Mode::Exclusive, HoldLimits::default()).await
}

async fn say(guard: &HeldGuard, payload: impl Into<Bytes>) -> Result<(), Error> {
    guard.change("proclaim", Change { payload: Some(payload.into()), ..Change::default() }).await
}

fn mark(change: impl FnOnce(&mut EntryValue) + Send + 'static) -> Box<dyn FnOnce(&mut Entry) + Send> {
    Box::new(|entry| {
        let mut value = EntryValue::decode(&entry.value).unwrap();
        change(&mut value);
        entry.value = value.encode();
    })
}

fn ask() -> Box<dyn FnOnce(&mut Entry) + Send> {
    mark(|value| value.asked = Some("somebody".into()))
}

fn found(fake: &Fake) -> EntryValue {
    EntryValue::decode(&fake.first().unwrap().value).unwrap()
}

/// On paused time a sleep ends when everything else is idle.
async fn everything_settles() {
    tokio::time::sleep(Duration::from_secs(2)).await;
}

#[tokio::test(start_paused = true)]
async fn a_mark_that_comes_before_a_change_is_kept() {
    let fake = Fake::new();
    let guard = held(&fake).await;
    fake.script([Script::First(ask())]);
    say(&guard, "a").await.unwrap();
    assert_eq!((&found(&fake).payload[..], found(&fake).asked.as_deref()), (&b"a"[..], Some("somebody")));
    assert_eq!(guard.held().asked_to_release().await, "somebody");
    say(&guard, "b").await.unwrap();
    assert_eq!((&found(&fake).payload[..], found(&fake).asked.as_deref()), (&b"b"[..], Some("somebody")));
    assert!(guard.held().is_held());
}

#[tokio::test(start_paused = true)]
async fn a_change_whose_reply_is_lost_is_made_once() {
    let fake = Fake::new();
    let guard = held(&fake).await;
    let before = fake.first().unwrap().version;
    fake.script([Script::LoseReply]);
    say(&guard, "a").await.unwrap();
    assert_eq!((&found(&fake).payload[..], fake.first().unwrap().version), (&b"a"[..], before + 1));
    // And with a mark on top of it, which makes the entry differ from what was written.
    fake.script([Script::LoseReplyThen(ask())]);
    say(&guard, "b").await.unwrap();
    assert_eq!((&found(&fake).payload[..], found(&fake).asked.as_deref()), (&b"b"[..], Some("somebody")));
    fake.script([Script::LoseReply]);
    let shared = Change { mode: Some(Mode::Shared), payload: Some("c".into()) };
    guard.change("downgrade", shared).await.unwrap();
    assert_eq!((fake.first().unwrap().mode, &found(&fake).payload[..]), (Mode::Shared, &b"c"[..]));
    fake.script([Script::LoseReplyThen(mark(|value| value.payload = "not the holder's".into()))]);
    let exclusive = Change { mode: Some(Mode::Exclusive), payload: None };
    guard.change("upgrade", exclusive).await.unwrap();
    assert_eq!(fake.first().unwrap().mode, Mode::Exclusive);
    everything_settles().await;
    assert!(guard.held().is_held());
    guard.release().await.unwrap();
    assert_eq!(fake.first(), None);
}

#[tokio::test(start_paused = true)]
async fn a_change_is_tried_until_it_is_made_or_refused() {
    let fake = Fake::new();
    let guard = held(&fake).await;
    let transient = [BackendErrorKind::Unavailable, BackendErrorKind::Indeterminate].map(Script::Fail);
    fake.script(transient);
    say(&guard, "a").await.unwrap();
    assert_eq!(&found(&fake).payload[..], b"a");
    for kind in [BackendErrorKind::TooLarge, BackendErrorKind::PermissionDenied] {
        fake.script([Script::Fail(kind)]);
        let error = say(&guard, "b").await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TooLarge | ErrorKind::PermissionDenied), "{error}");
        assert_eq!(error.to_string(), "proclaim \"one\" on fake: as the script says");
        assert!(guard.held().is_held() && found(&fake).payload == "a");
    }
    say(&guard, "c").await.unwrap();
    assert_eq!(&found(&fake).payload[..], b"c");
}

#[tokio::test(start_paused = true)]
async fn a_change_that_finds_the_hold_broken_says_so() {
    for found_by_change in [false, true] {
        let fake = Fake::new();
        let guard = held(&fake).await;
        let broken = mark(|value| value.broken = Some("somebody".into()));
        if found_by_change {
            fake.script([Script::First(broken)]);
        } else {
            fake.write(broken);
            assert_eq!(guard.held().lost().await, LossReason::ForceReleased);
        }
        let error = say(&guard, "a").await.unwrap_err();
        assert_eq!((error.kind(), error.loss_reason()), (ErrorKind::Lost, Some(LossReason::ForceReleased)));
        assert!(!guard.held().is_held());
        everything_settles().await;
        assert_eq!(fake.first(), None, "it has given up its entry");
        assert!(guard.release().await.unwrap_err().is_lost());
    }
}

#[tokio::test(start_paused = true)]
async fn a_maximum_is_heard_while_a_change_is_under_way() {
    let fake = Fake::new();
    let limits = HoldLimits { min: Duration::ZERO, max: Some(Duration::from_secs(7)) };
    let guard = hold(&fake, Mode::Exclusive, limits).await;
    fake.script([Script::Stall]);
    let start = Instant::now();
    let (first, second) = tokio::join!(say(&guard, "a"), say(&guard, "b"));
    assert!(start.elapsed() <= Duration::from_millis(7_002), "{:?}", start.elapsed());
    for error in [first.unwrap_err(), second.unwrap_err()] {
        assert_eq!(error.loss_reason(), Some(LossReason::MaxHoldPassed), "{error}");
    }
    everything_settles().await;
    assert_eq!(fake.first(), None);
}

#[tokio::test(start_paused = true)]
async fn a_release_comes_after_the_changes_before_it() {
    let fake = Fake::new();
    let guard = held(&fake).await;
    fake.script([Script::Fail(BackendErrorKind::Unavailable)]);
    {
        let saying = say(&guard, "a");
        tokio::pin!(saying);
        assert!(futures_util::poll!(saying.as_mut()).is_pending());
    }
    guard.release().await.unwrap();
    assert_eq!(fake.first(), None);
}

/// The hold is over for another reason before the task comes to the release: the release is answered all the same.
#[tokio::test(start_paused = true)]
async fn a_release_that_another_end_overtakes_is_answered() {
    let fake = Fake::new();
    let limits = HoldLimits { min: Duration::ZERO, max: Some(Duration::from_secs(7)) };
    let guard = hold(&fake, Mode::Exclusive, limits).await;
    fake.script([Script::Stall]);
    {
        let saying = say(&guard, "a");
        tokio::pin!(saying);
        assert!(futures_util::poll!(saying.as_mut()).is_pending());
    }
    let held = guard.held().clone();
    guard.release().await.unwrap();
    assert_eq!((held.lost().await, fake.first()), (LossReason::Released, None));
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_claims_something_else_is_a_loss() {
    let permits = |count, granted| Mode::Permits { count, limit: 5, granted };
    for (mode, written, lost) in [
        (Mode::Exclusive, Mode::Shared, true),
        (Mode::Shared, Mode::Exclusive, true),
        (permits(2, false), permits(1, false), true),
        (permits(2, false), permits(2, true), false),
    ] {
        let fake = Fake::new();
        let guard = hold(&fake, mode, HoldLimits::default()).await;
        fake.write(move |entry| entry.mode = written);
        everything_settles().await;
        assert_eq!(!guard.held().is_held(), lost, "{mode} turned into {written}");
        if lost {
            assert_eq!(guard.held().lost().await, LossReason::EntryRemoved);
            assert_eq!(fake.first(), None, "what it claims now is nobody's");
        } else {
            say(&guard, "a").await.unwrap();
            assert_eq!(fake.first().unwrap().mode, written, "a change leaves it");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_of_strangers_is_no_loss_and_is_replaced() {
    let fake = Fake::new();
    let guard = held(&fake).await;
    fake.write(raw(b"\xff\n"));
    everything_settles().await;
    assert!(guard.held().is_held());
    say(&guard, "a").await.unwrap();
    assert_eq!(&found(&fake).payload[..], b"a");
}

#[tokio::test(start_paused = true)]
async fn a_successor_s_entry_is_left_alone() {
    let fake = Fake::new();
    let guard = held(&fake).await;
    fake.write(mark(|value| value.turn += 1));
    let lost = tokio::time::timeout(Duration::from_secs(1), guard.held().lost()).await;
    assert_eq!(lost, Ok(LossReason::Superseded));
    everything_settles().await;
    assert!(fake.first().is_some());
    assert!(guard.release().await.unwrap_err().is_lost());
    assert!(fake.first().is_some());
}

/// The holder and others write in every order that the runtime comes up with.
#[tokio::test(start_paused = true)]
async fn writers_of_one_entry_overwrite_nobody() {
    for round in 0..200_u64 {
        let fake = Fake::new();
        let guard = held(&fake).await;
        let mutex = fake.coordinator().await.mutex("one");
        let pause = |step: u64| tokio::time::sleep(Duration::from_millis((round * 7 + step * 13) % 5));
        if round % 3 == 0 {
            fake.script([Script::LoseReply, Script::LoseReply]);
        }
        let holder = async {
            for step in 0..10_u64 {
                say(&guard, step.to_string()).await.unwrap();
                pause(step).await;
            }
        };
        let asker = async {
            pause(round / 5).await;
            mutex.ask_to_release("somebody").await.unwrap()
        };
        let ((), asked) = tokio::join!(holder, asker);
        assert!(asked);
        assert_eq!((&found(&fake).payload[..], found(&fake).asked.as_deref()), (&b"9"[..], Some("somebody")));
        assert_eq!(guard.held().asked_to_release().await, "somebody");
        guard.release().await.unwrap();
        assert_eq!(fake.first(), None);
    }
}
