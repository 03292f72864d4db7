//! What the kernel has counted of a process.

use std::fs;
use std::time::Duration;

use crate::Failure;

/// What the kernel tells processes of its ticks, whatever they are.
const TICKS_PER_SECOND: u64 = 100;

/// The processor time that a process has taken so far, in all of its threads; this process's without a number.
pub(crate) fn processor_time(pid: Option<u32>) -> Result<Duration, Failure> {
    let pid = pid.unwrap_or_else(std::process::id);
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let ticks = ticks(&stat).ok_or_else(|| format!("/proc/{pid}/stat says {stat:?}"))?;
    Ok(Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND))
}

/// In user mode and in the kernel.
fn ticks(stat: &str) -> Option<u64> {
    // The name stands in parentheses, and may hold any.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// How often the threads of this process have gone to sleep of their own accord so far.
pub(crate) fn own_wake_ups() -> Result<u64, Failure> {
    let mut sum = 0;
    for task in fs::read_dir("/proc/self/task")? {
        // A thread may have ended since.
        let Ok(status) = fs::read_to_string(task?.path().join("status")) else { continue };
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        sum += line.and_then(|count| count.trim().parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "42 (a) b) S 1 2 3 4 5 6 7 8 9 10 500 70 0 0 20 0 1";
        assert_eq!(ticks(stat), Some(570));
        assert_eq!(ticks("nothing"), None);
    }

    #[test]
    fn who_is_busy_takes_time() {
        let before = processor_time(None).unwrap();
        let began = std::time::Instant::now();
        while processor_time(None).unwrap() == before {
            assert!(began.elapsed() < Duration::from_secs(20), "no time is counted");
        }
    }
}
