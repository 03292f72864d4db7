/// A reading of a server's counters, in Prometheus' text format.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    samples: Vec<Sample>,
}

#[derive(Debug, Clone, PartialEq)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Metrics {
    /// Reads the text of `/metrics`. Lines that are not samples are left out.
    pub fn parse(text: &str) -> Self {
        Self { samples: text.lines().filter_map(sample).collect() }
    }

    /// The sum over all labels of a name; 0 if there is none.
    pub fn sum(&self, name: &str) -> f64 {
        self.with(name, &[])
    }

    /// The sum over the samples of a name that have all of these labels; 0 if there is none.
    pub fn with(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.samples
            .iter()
            .filter(|sample| sample.name == name)
            .filter(|sample| labels.iter().all(|(key, value)| sample.has(key, value)))
            .map(|sample| sample.value)
            .sum()
    }

    /// Whether there is a sample of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.samples.iter().any(|sample| sample.name == name)
    }
}

impl Sample {
    fn has(&self, key: &str, value: &str) -> bool {
        self.labels.iter().any(|(k, v)| k == key && v == value)
    }
}

/// `name{label="value",…} value [timestamp]`
fn sample(line: &str) -> Option<Sample> {
    let line = line.trim();
    if line.starts_with('#') {
        return None;
    }
    let name_end = line.find(|c: char| c == '{' || c.is_whitespace())?;
    let (name, rest) = line.split_at(name_end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample { name: name.to_owned(), labels, value })
}

/// What stands between the braces, and what follows them.
fn labels(mut rest: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (key, quoted) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = quoted.char_indices();
        let end = loop {
            match chars.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, other) => value.push(other),
            }
        };
        labels.push((key.trim().to_owned(), value));
        rest = &quoted[end + 1..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
# HELP grpc_server_handled_total Total number of RPCs completed on the server.
# TYPE grpc_server_handled_total counter
grpc_server_handled_total{grpc_code="OK",grpc_method="Txn"} 7
grpc_server_handled_total{grpc_code="Unavailable",grpc_method="Txn"} 2
grpc_server_handled_total{grpc_code="OK",grpc_method="Range"} 1.5e+01
odd{path="a\\b\"c}d\n,e"} 3 1395066363000
etcd_debugging_mvcc_watcher_total 4
broken{label="no end
"#;

    #[test]
    fn sums_and_selects() {
        let metrics = Metrics::parse(TEXT);
        assert_eq!(metrics.sum("grpc_server_handled_total"), 24.0);
        assert_eq!(metrics.with("grpc_server_handled_total", &[("grpc_code", "OK")]), 22.0);
        let one = [("grpc_method", "Txn"), ("grpc_code", "Unavailable")];
        assert_eq!(metrics.with("grpc_server_handled_total", &one), 2.0);
        assert_eq!(metrics.with("odd", &[("path", "a\\b\"c}d\n,e")]), 3.0);
        assert_eq!(metrics.sum("etcd_debugging_mvcc_watcher_total"), 4.0);
        assert_eq!(metrics.sum("absent"), 0.0);
        assert!(!metrics.contains("broken"));
    }
}
