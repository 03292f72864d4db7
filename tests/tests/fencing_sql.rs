//! The SQL of the documentation of `leasehold::fencing`, run by SQLite word for word and compared with [`Fence`].

use std::fmt::Write as _;
use std::fs::File;
use std::process::Command;

use leasehold::FencingToken;
use leasehold::fencing::Fence;

const DOCUMENTATION: &str = include_str!("../../crates/leasehold-core/src/fencing/sql.md");

/// The statements of the documentation, in its order.
struct Statements {
    create_accounts: String,
    write_account: String,
    read_account: String,
    create_documents: String,
    write_document: String,
    read_document: String,
    read_document_shared: String,
}

impl Statements {
    fn documented() -> Self {
        let blocks = DOCUMENTATION.split("```sql\n").skip(1);
        let blocks: Vec<_> = blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect();
        let [
            create_accounts,
            write_account,
            read_account,
            create_documents,
            write_document,
            read_document,
            read_document_shared,
        ] = blocks.try_into().unwrap();
        Self {
            create_accounts,
            write_account,
            read_account,
            create_documents,
            write_document,
            read_document,
            read_document_shared,
        }
    }
}

/// How a token is stored.
#[derive(Clone, Copy)]
enum Encoding {
    Text,
    Bytes,
}

impl Encoding {
    fn literal(self, token: FencingToken) -> String {
        match self {
            Encoding::Text => format!("'{token}'"),
            Encoding::Bytes => {
                let digits: String = token.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
                format!("x'{digits}'")
            }
        }
    }

    fn schema(self, text: &str) -> String {
        match self {
            Encoding::Text => text.to_owned(),
            Encoding::Bytes => {
                text.replace("CHAR(32)", "BINARY(16)").replace("DEFAULT '0000", "DEFAULT x'0000")
            }
        }
    }

    /// An expression that answers the column's token as text.
    fn column(self, name: &str) -> String {
        match self {
            Encoding::Text => name.to_owned(),
            Encoding::Bytes => format!("lower(hex({name}))"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Write,
    Read,
    ReadShared,
}

/// Tokens whose order is not that of numbers written in decimal, nor that of their parts.
fn tokens() -> [FencingToken; 3] {
    [FencingToken::new(0, 9, 7), FencingToken::new(0, 10, 0), FencingToken::new(1, 3, 0)]
}

/// Every history of `length` accesses.
fn histories(accesses: &[Access], length: usize) -> Vec<Vec<(Access, FencingToken)>> {
    let mut all = vec![Vec::new()];
    for _ in 0..length {
        let longer = all.iter().flat_map(|history| {
            let one_more = |access: &Access| {
                tokens().map(|token| history.iter().copied().chain([(*access, token)]).collect::<Vec<_>>())
            };
            accesses.iter().flat_map(one_more).collect::<Vec<_>>()
        });
        all = longer.collect();
    }
    all
}

/// What SQLite answers to a script, line by line.
fn sqlite(script: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("script.sql");
    std::fs::write(&file, script).unwrap();
    let output = Command::new("sqlite3")
        .args(["-batch", "-bail", ":memory:"])
        .stdin(File::open(&file).unwrap())
        .output()
        .unwrap_or_else(|error| panic!("cannot run sqlite3 (Debian package `sqlite3`): {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{}: {errors}", output.status);
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Script and expected answer, side by side.
#[derive(Default)]
struct Transcript {
    script: String,
    expected: Vec<String>,
    rejected: usize,
}

impl Transcript {
    fn set(&mut self, parameter: &str, literal: &str) {
        writeln!(self.script, ".parameter set :{parameter} \"{literal}\"").unwrap();
    }

    fn access(&mut self, statement: &str, passes: bool, row: Option<u64>) {
        writeln!(self.script, "{statement}SELECT 'rows ' || changes();").unwrap();
        self.expected.extend(row.filter(|_| passes).map(|value| value.to_string()));
        self.expected.push(format!("rows {}", u8::from(passes)));
        self.rejected += usize::from(!passes);
    }

    fn compare(self) {
        let answered = sqlite(&self.script);
        assert!(self.rejected > 0);
        assert_eq!(answered.len(), self.expected.len());
        for (number, (is, should_be)) in answered.iter().zip(&self.expected).enumerate() {
            assert_eq!(is, should_be, "line {number}");
        }
    }
}

fn run(encoding: Encoding, shared: bool) {
    let sql = Statements::documented();
    let (schema, table, value, accesses): (_, _, _, &[Access]) = if shared {
        (&sql.create_documents, "documents", "body", &[Access::Write, Access::Read, Access::ReadShared])
    } else {
        (&sql.create_accounts, "accounts", "balance", &[Access::Write, Access::Read])
    };
    let marks = if shared {
        format!("{} || '-' || {}", encoding.column("exclusive"), encoding.column("shared"))
    } else {
        encoding.column("token")
    };
    let mut transcript = Transcript { script: encoding.schema(schema), ..Transcript::default() };
    for (id, history) in histories(accesses, 4).into_iter().enumerate() {
        transcript.set("id", &format!("'{id}'"));
        writeln!(transcript.script, "INSERT INTO {table} (id, {value}) VALUES (:id, 0);").unwrap();
        let (mut fence, mut stored) = (Fence::new(), 0);
        for (number, (access, token)) in (1..).zip(history) {
            transcript.set("token", &encoding.literal(token));
            let passes = match access {
                Access::Write | Access::Read => fence.check_exclusive(token).is_ok(),
                Access::ReadShared => fence.check_shared(token).is_ok(),
            };
            let statement = match (access, shared) {
                (Access::Write, false) => &sql.write_account,
                (Access::Write, true) => &sql.write_document,
                (Access::Read, false) => &sql.read_account,
                (Access::Read, true) => &sql.read_document,
                (Access::ReadShared, _) => &sql.read_document_shared,
            };
            if access == Access::Write {
                transcript.set(value, &number.to_string());
                transcript.access(statement, passes, None);
                stored = if passes { number } else { stored };
            } else {
                transcript.access(statement, passes, Some(stored));
            }
        }
        writeln!(transcript.script, "SELECT {marks} || ' ' || {value} FROM {table} WHERE id = :id;").unwrap();
        let marks = if shared { fence.to_string() } else { fence.exclusive().to_string() };
        transcript.expected.push(format!("{marks} {stored}"));
    }
    transcript.compare();
}

#[test]
fn one_mark_as_text_lets_pass_what_the_fence_does() {
    run(Encoding::Text, false);
}

#[test]
fn one_mark_as_bytes_lets_pass_what_the_fence_does() {
    run(Encoding::Bytes, false);
}

#[test]
fn two_marks_as_text_let_pass_what_the_fence_does() {
    run(Encoding::Text, true);
}

#[test]
fn two_marks_as_bytes_let_pass_what_the_fence_does() {
    run(Encoding::Bytes, true);
}
