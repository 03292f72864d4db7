//! What may not grow in a long run: the memory of the workers, and what the servers keep.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use tokio::time::sleep;

use crate::nemesis::Arena;
use crate::run::NAMESPACE;

/// Between two samples.
const PACE: Duration = Duration::from_secs(10);

/// How much more of something there may be in the last quarter than in the second, as a factor and beyond that.
#[derive(Debug, Clone, Copy)]
struct Noise {
    factor: f64,
    more: f64,
}

/// Kilobytes that an allocator keeps. Workers of fifteen megabytes differ by less than half of one.
const OF_MEMORY: Noise = Noise { factor: 1.1, more: 1024.0 };

/// Keys and watches of who happens to wait.
const OF_COUNTS: Noise = Noise { factor: 1.25, more: 24.0 };

/// Samples of what is counted, in the order of time.
#[derive(Debug, Default, Clone)]
pub struct Census(BTreeMap<String, Vec<f64>>);

impl Census {
    /// Adds to it until it is dropped.
    pub async fn take(&mut self, arena: &Arena) {
        loop {
            sleep(PACE).await;
            for (what, count) in arena.service.census(NAMESPACE).await {
                self.0.entry(what).or_default().push(count);
            }
            for (number, member) in arena.crew.members().iter().enumerate() {
                if let Some(memory) = resident_kb(member.pid()) {
                    self.0.entry(format!("memory of process {number}, KB")).or_default().push(memory);
                }
            }
        }
    }

    /// What has grown from the second quarter of the time to the last, of so many things at least.
    pub fn grown(&self, of: usize) -> Vec<String> {
        let grown = |(what, samples): (&String, &Vec<f64>)| {
            let quarter = samples.len() / 4;
            if quarter == 0 {
                return Some(format!(
                    "{what}: {} samples are too few to tell whether it grows",
                    samples.len()
                ));
            }
            let (before, after) = (median(&samples[quarter..2 * quarter]), median(&samples[3 * quarter..]));
            let noise = if what.ends_with("KB") { OF_MEMORY } else { OF_COUNTS };
            (after > before * noise.factor + noise.more)
                .then(|| format!("{what} has grown from {before} to {after}"))
        };
        let counted = self.0.len();
        let uncounted = (counted < of).then(|| format!("{counted} of {of} things were counted"));
        uncounted.into_iter().chain(self.0.iter().filter_map(grown)).collect()
    }

    /// The medians of the second and the last quarter, for a reader.
    pub fn summary(&self) -> String {
        let line = |(what, samples): (&String, &Vec<f64>)| {
            let quarter = samples.len() / 4;
            let (before, after) = (median(&samples[quarter..2 * quarter]), median(&samples[3 * quarter..]));
            format!("{what}: {before} then, {after} in the end")
        };
        self.0.iter().map(line).collect::<Vec<_>>().join("; ")
    }
}

fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// The resident memory of a process (proc(5)).
fn resident_kb(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_is_told_from_what_does_not() {
        let census = |samples: Vec<f64>| Census(BTreeMap::from([("keys".to_owned(), samples)]));
        let of = |count: fn(u32) -> f64| census((0..40).map(count).collect());
        assert_eq!(of(|n| 100.0 + f64::from(n % 7)).grown(1), Vec::<String>::new());
        assert_eq!(of(|n| 100.0 + 4.0 * f64::from(n)).grown(1).len(), 1);
        assert_eq!(census(vec![1.0]).grown(1).len(), 1, "one sample tells nothing");
        assert_eq!(Census::default().grown(1), ["0 of 1 things were counted"]);
        let memory = |kb: fn(u32) -> f64| {
            Census(BTreeMap::from([("memory, KB".to_owned(), (0..40).map(kb).collect())]))
        };
        assert_eq!(memory(|n| 15_000.0 + 50.0 * f64::from(n)).grown(1), Vec::<String>::new());
        assert_eq!(memory(|n| 15_000.0 + 150.0 * f64::from(n)).grown(1).len(), 1);
        assert!(resident_kb(std::process::id()).is_some_and(|memory| memory > 1000.0));
    }
}
