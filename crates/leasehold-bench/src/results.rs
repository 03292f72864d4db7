//! What was measured, as it is kept beside the page: a line of JSON each, so that a run of a part replaces that part.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Failure;

/// Everything that was measured on one service.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Results {
    pub(crate) runs: Vec<Run>,
    pub(crate) samples: Vec<Sample>,
    pub(crate) missing: Vec<Missing>,
}

/// One run, on one server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// When it began, in seconds of the system's clock.
    pub(crate) id: u64,
    /// Where the server had its data.
    pub(crate) storage: String,
    /// Facts of the machine and the run, and what they are called.
    pub(crate) facts: Vec<(String, String)>,
}

/// What one repetition found of somebody.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) run: u64,
    pub(crate) storage: String,
    /// How many contended; 0 for one that nobody disturbed.
    pub(crate) clients: usize,
    pub(crate) who: String,
    /// Figures, and what they are called.
    pub(crate) values: Vec<(String, f64)>,
}

impl Sample {
    pub(crate) fn value(&self, name: &str) -> Option<f64> {
        self.values.iter().find_map(|(called, value)| (called == name).then_some(*value))
    }

    fn is_of_the_same(&self, other: &Self) -> bool {
        (&self.storage, self.clients, &self.who) == (&other.storage, other.clients, &other.who)
    }
}

/// A peer that the machine could not run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Missing {
    pub(crate) name: String,
    pub(crate) why: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Run(Run),
    Missing(Missing),
    Sample(Sample),
}

impl Results {
    /// Reads a file; nothing, if there is none.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            text => text.map_err(|error| format!("{}: {error}", path.display()))?,
        };
        let mut results = Self::default();
        for line in text.lines() {
            match serde_json::from_str(line).map_err(|error| format!("{}: {error}", path.display()))? {
                Line::Run(run) => results.runs.push(run),
                Line::Missing(missing) => results.missing.push(missing),
                Line::Sample(sample) => results.samples.push(sample),
            }
        }
        Ok(results)
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        let runs = self.runs.iter().cloned().map(Line::Run);
        let missing = self.missing.iter().cloned().map(Line::Missing);
        let samples = self.samples.iter().cloned().map(Line::Sample);
        let mut text = String::new();
        for line in runs.chain(missing).chain(samples) {
            text += &serde_json::to_string(&line)?;
            text.push('\n');
        }
        Ok(fs::write(path, text)?)
    }

    /// Takes in what a later run has found, in place of what was known of the same.
    pub(crate) fn merge(&mut self, newer: Self) {
        let Self { runs, samples, missing } = newer;
        self.samples.retain(|old| !samples.iter().any(|new| new.is_of_the_same(old)));
        self.samples.extend(samples);
        self.runs.extend(runs);
        self.runs.retain(|run| self.samples.iter().any(|sample| sample.run == run.id));
        self.missing.retain(|old| !missing.iter().any(|new| new.name == old.name));
        self.missing.extend(missing);
        self.missing
            .retain(|missing| !self.samples.iter().any(|sample| sample.who.starts_with(&missing.name)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(run: u64, clients: usize, who: &str) -> Sample {
        Sample {
            run,
            storage: "disk".into(),
            clients,
            who: who.into(),
            values: vec![("x".into(), run as f64)],
        }
    }

    fn results(run: u64, samples: Vec<Sample>, missing: &[&str]) -> Results {
        let missing =
            missing.iter().map(|name| Missing { name: (*name).into(), why: "why".into() }).collect();
        Results { runs: vec![Run { id: run, storage: "disk".into(), facts: vec![] }], samples, missing }
    }

    #[test]
    fn a_part_replaces_that_part() {
        let mut known =
            results(1, vec![sample(1, 2, "a"), sample(1, 2, "a"), sample(1, 8, "a")], &["b", "c"]);
        known.merge(results(2, vec![sample(2, 2, "a"), sample(2, 2, "b 1.0")], &[]));
        let of = |clients, who: &str| {
            let found = known.samples.iter().filter(|s| s.clients == clients && s.who == who);
            found.map(|s| s.run).collect::<Vec<_>>()
        };
        assert_eq!((of(2, "a"), of(8, "a"), of(2, "b 1.0")), (vec![2], vec![1], vec![2]));
        assert_eq!(known.missing.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["c"]);
        assert_eq!(known.runs.len(), 2);
        known.merge(results(3, vec![sample(3, 8, "a")], &[]));
        assert_eq!(
            known.runs.iter().map(|run| run.id).collect::<Vec<_>>(),
            [2, 3],
            "nothing is left of run 1"
        );
    }

    #[test]
    fn what_is_written_is_read() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/what-is-written-is-read.jsonl");
        let written = results(1, vec![sample(1, 2, "a")], &["b"]);
        written.write(&path).unwrap();
        assert_eq!(Results::read(&path).unwrap(), written);
        fs::remove_file(&path).unwrap();
        assert_eq!(Results::read(&path).unwrap(), Results::default());
    }
}
