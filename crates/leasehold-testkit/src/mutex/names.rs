//! Names: which are refused, and that all others are kept apart.

use leasehold_core::ErrorKind;

use super::arena::{Arena, Scene};

pub(super) async fn bad_names_are_refused(world: Arena) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let too_long = "n".repeat(256);
    for bad in ["", &too_long, "a\0b", "a\nb", "\u{7f}", "\u{85}"] {
        let mutex = node.mutex(bad);
        for error in [
            mutex.lock().await.expect_err(bad),
            mutex.try_lock().await.expect_err(bad),
            mutex.with(|_held| async {}).await.expect_err(bad),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidName);
            assert_eq!((error.name(), error.backend()), (Some(bad), Some(world.service())));
            assert!(std::error::Error::source(&error).is_some(), "it says what is wrong with the name");
        }
    }
    assert_eq!(scene.listing().await, Vec::<String>::new());
}

pub(super) async fn hostile_names_are_kept_apart(world: Arena) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let longest = "é".repeat(127);
    let names = [
        "a",
        "A",
        "a/b",
        "a/",
        "/a",
        "/",
        "//",
        ".",
        "..",
        "...",
        "a/..",
        "zookeeper",
        "%",
        "%2F",
        "%2e",
        " ",
        "a b",
        "a!",
        "*",
        "\u{fffd}",
        "\u{e000}",
        "🔒",
        "锁",
        "null",
        "locks",
        "a\u{301}",
        "á",
        &longest,
    ];
    let mut guards = Vec::new();
    for name in names {
        let guard = node.mutex(name).try_lock().await.expect(name);
        guards.push(guard.unwrap_or_else(|| panic!("{name:?} is another lock than those before")));
    }
    let other = scene.node().await;
    for name in names {
        assert!(other.mutex(name).try_lock().await.expect(name).is_none(), "{name:?} is held");
    }
    for guard in guards {
        guard.release().await.expect("released");
    }
    scene.nothing_is_left().await;
}
