//! The read/write lock.

use crate::process::{LASTING, MORTAL, Service, on_every_service};

on_every_service!(
    readers_share_and_writers_are_alone,
    a_downgrade_lets_readers_of_other_processes_in,
    a_writer_that_is_killed_makes_way,
    it_excludes_under_load,
);

async fn readers_share_and_writers_are_alone(service: Service) {
    let [mut a, mut b, mut c] = service.processes(LASTING).await;
    let one = a.is_granted("r rw_lock read routes").await;
    let other = b.is_granted("r rw_lock read routes").await;
    c.does("w rw_lock try_write routes", "busy").await;
    c.tell("w rw_lock write routes").await;
    a.sees("rw_lock", "routes", &[a.holds(), b.holds(), c.waits()]).await;
    a.does("late rw_lock try_read routes", "busy").await;
    a.does("r release", "released").await;
    b.does("r release", "released").await;
    let writer = c.gets("w").await;
    assert!(writer > one && writer > other);
    a.does("r rw_lock try_read routes", "busy").await;
    a.does("w rw_lock try_write routes", "busy").await;
    c.does("w release", "released").await;
    assert!(a.is_granted("r rw_lock try_read routes").await > writer);
}

async fn a_downgrade_lets_readers_of_other_processes_in(service: Service) {
    let [mut a, mut b, mut c] = service.processes(LASTING).await;
    let writer = a.is_granted("w rw_lock write routes").await;
    b.tell("r rw_lock read routes").await;
    a.sees("rw_lock", "routes", &[a.holds(), b.waits()]).await;
    c.tell("w rw_lock write routes").await;
    a.sees("rw_lock", "routes", &[a.holds(), b.waits(), c.waits()]).await;
    a.does("w downgrade", "downgraded").await;
    let reader = b.gets("r").await;
    assert!(reader > writer);
    b.sees("rw_lock", "routes", &[a.holds(), b.holds(), c.waits()]).await;
    a.does("w release", "released").await;
    b.sees("rw_lock", "routes", &[b.holds(), c.waits()]).await;
    b.does("r release", "released").await;
    assert!(c.gets("w").await > reader);
}

async fn a_writer_that_is_killed_makes_way(service: Service) {
    let [mut a, mut b, mut c] = service.processes(MORTAL).await;
    let writer = a.is_granted("w rw_lock write routes").await;
    b.tell("r rw_lock read routes").await;
    b.sees("rw_lock", "routes", &[a.holds(), b.waits()]).await;
    c.tell("r rw_lock read routes").await;
    b.sees("rw_lock", "routes", &[a.holds(), b.waits(), c.waits()]).await;
    a.kill().await;
    assert!(b.gets("r").await > writer);
    assert!(c.gets("r").await > writer);
    b.sees("rw_lock", "routes", &[b.holds(), c.holds()]).await;
    // And readers that are killed make way for a writer.
    let mut d = service.process(MORTAL).await;
    d.tell("w rw_lock write routes").await;
    d.sees("rw_lock", "routes", &[b.holds(), c.holds(), d.waits()]).await;
    b.kill().await;
    c.kill().await;
    assert!(d.gets("w").await > writer);
}

async fn it_excludes_under_load(service: Service) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut processes: [_; 4] = service.processes(LASTING).await;
    let stress = format!("s rw_lock stress routes {} 60", dir.path().display());
    for process in &mut processes {
        process.tell(&stress).await;
    }
    for process in &mut processes {
        assert_eq!(process.hear("s").await, "done");
    }
}
