//! Names, namespaces and the paths that backends use as keys.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::wire::{WireLayout, WireProfile};

/// The longest name and the longest namespace, in bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 255;

/// What stays as it is inside one segment of a path; everything else is percent-encoded.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Why a name or a namespace was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The name has no characters.
    #[error("a name must have at least one character")]
    Empty,
    /// The name is longer than [`MAX_NAME_BYTES`].
    #[error("a name may have at most {MAX_NAME_BYTES} bytes, this one has {0}")]
    TooLong(usize),
    /// The name holds NUL or another control character.
    #[error("a name may not hold control characters, this one has U+{:04X} at byte {at}", *.character as u32)]
    ControlCharacter {
        /// The character.
        character: char,
        /// Its byte offset in the name.
        at: usize,
    },
    /// The client whose layout was asked for has nothing at such a path.
    #[error("no path of the {profile} profile: {why}")]
    NotOfProfile {
        /// The profile.
        profile: WireProfile,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A verbatim path that lies in the coordinator's own namespace, or has that below it.
    #[error("the path would share keys with the coordinator's own namespace {0:?}")]
    OwnNamespace(String),
}

/// A namespace: one to many segments that precede every key a coordinator writes.
///
/// Coordinators with different namespaces never meet, whatever names they use.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Namespace(String);

impl Namespace {
    /// Reads a namespace such as `prod` or `team/prod`; slashes at either end are ignored.
    ///
    /// # Errors
    /// [`NameError`] if a segment is empty, the whole is too long, or there are control characters.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let text = text.trim_matches('/');
        check(text)?;
        let segments =
            text.split('/').map(|s| if s.is_empty() { Err(NameError::Empty) } else { Ok(escape(s)) });
        Ok(Self(segments.collect::<Result<Vec<_>, _>>()?.join("/")))
    }

    /// The escaped path, without a slash at either end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self("leasehold".into())
    }
}

/// What kind of thing a key belongs to; kinds keep one name apart from another recipe's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Kind {
    /// Mutexes.
    Lock,
    /// Read/write locks.
    RwLock,
    /// Semaphores.
    Semaphore,
    /// Elections.
    Election,
    /// Groups of members.
    Group,
    /// The items that a group divides among its members.
    Partition,
    /// Barriers: registers.
    Barrier,
    /// The parties of double barriers.
    DoubleBarrier,
    /// The rounds of double barriers: registers.
    DoubleBarrierRound,
    /// Count-down latches: registers.
    Latch,
    /// What was completed once and for all: registers.
    Once,
    /// Who is about to complete something once and for all.
    OnceRun,
    /// Versioned registers, and counters.
    Register,
}

impl Kind {
    /// The kinds that are queues.
    pub const QUEUES: [Kind; 8] = [
        Kind::Lock,
        Kind::RwLock,
        Kind::Semaphore,
        Kind::Election,
        Kind::Group,
        Kind::Partition,
        Kind::DoubleBarrier,
        Kind::OnceRun,
    ];

    /// The segment that stands for the kind in a path.
    pub fn segment(self) -> &'static str {
        match self {
            Kind::Lock => "locks",
            Kind::RwLock => "rw-locks",
            Kind::Semaphore => "semaphores",
            Kind::Election => "elections",
            Kind::Group => "groups",
            Kind::Partition => "partitions",
            Kind::Barrier => "barriers",
            Kind::DoubleBarrier => "double-barriers",
            Kind::DoubleBarrierRound => "double-barrier-rounds",
            Kind::Latch => "latches",
            Kind::Once => "once",
            Kind::OnceRun => "once-runs",
            Kind::Register => "registers",
        }
    }
}

/// One name from two parts, injectively: no two pairs give the same one.
pub(crate) fn joined(first: &str, second: &str) -> String {
    format!("{}/{second}", first.replace('%', "%25").replace('/', "%2F"))
}

/// Where a queue or a register lives in the service: `<namespace>/<kind>/<escaped name>`, or a verbatim path in another client's layout.
///
/// The last segment is an injective encoding of the name, so no name's path is a prefix directory of
/// another's (`a` and `a/b` are neighbours). A path holds only ASCII letters, digits, `-_.~%` and the slashes
/// between segments; it neither begins nor ends with a slash, and no segment is `.` or `..`.
///
/// A path with a [`WireLayout`] is what the other program calls it, and none of that holds. It lies outside the namespace, and is a
/// queue's.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyPath {
    text: String,
    wire: Option<WireLayout>,
}

impl KeyPath {
    /// The path of `name`.
    ///
    /// # Errors
    /// [`NameError`] if the name is empty, longer than [`MAX_NAME_BYTES`] or holds a control character.
    pub fn new(namespace: &Namespace, kind: Kind, name: &str) -> Result<Self, NameError> {
        check(name)?;
        Ok(Self { text: format!("{}{}", Self::prefix(namespace, kind), escape(name)), wire: None })
    }

    /// The path of a queue in another client's layout, as that client is given it. `namespace` is where the coordinator's own keys are:
    /// the two must not share any.
    ///
    /// # Errors
    /// [`NameError`] as [`KeyPath::new`], if the profile has no such path, and if it is within the namespace or above it.
    pub fn verbatim(namespace: &Namespace, layout: WireLayout, path: &str) -> Result<Self, NameError> {
        check(path)?;
        if let Some(why) = layout.profile.objection(path) {
            return Err(NameError::NotOfProfile { profile: layout.profile, why });
        }
        // Services that take paths for absolute do not tell `/a` from `a`.
        let (own, other) = (format!("{}/", namespace.as_str()), format!("{}/", path.trim_matches('/')));
        if own.starts_with(&other) || other.starts_with(&own) || other == "/" {
            return Err(NameError::OwnNamespace(namespace.as_str().to_owned()));
        }
        Ok(Self { text: path.to_owned(), wire: Some(layout) })
    }

    /// The layout of what is there, if it is another client's.
    pub fn wire(&self) -> Option<WireLayout> {
        self.wire
    }

    /// The segment of the kind of queue that is there.
    #[cfg(any(feature = "tracing", feature = "metrics"))]
    pub(crate) fn kind_segment(&self) -> &'static str {
        if let Some(wire) = self.wire {
            return wire.kind.segment();
        }
        let segment = self.text.rsplit('/').nth(1).unwrap_or_default();
        Kind::QUEUES.map(Kind::segment).into_iter().find(|known| *known == segment).unwrap_or("others")
    }

    /// What the paths of all names of a kind begin with, the last slash included.
    pub fn prefix(namespace: &Namespace, kind: Kind) -> String {
        format!("{}/{}/", namespace.as_str(), kind.segment())
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name that the last segment stands for; a verbatim path is its own name.
    pub fn name(&self) -> String {
        if self.wire.is_some() {
            return self.text.clone();
        }
        percent_decode_str(self.last_segment()).decode_utf8_lossy().into_owned()
    }

    /// Reads back a path made by [`KeyPath::new`] from the prefix and the escaped last segment, as an
    /// administrator's listing finds them; `None` if the segment is not of our making.
    pub fn from_listing(namespace: &Namespace, kind: Kind, segment: &str) -> Option<Self> {
        let name = percent_decode_str(segment).decode_utf8().ok()?;
        let path = Self::new(namespace, kind, &name).ok()?;
        (path.last_segment() == segment).then_some(path)
    }

    fn last_segment(&self) -> &str {
        self.text.rsplit('/').next().unwrap_or_default()
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.wire {
            Some(wire) => write!(f, "KeyPath({} of {})", self.text, wire.profile),
            None => write!(f, "KeyPath({})", self.text),
        }
    }
}

fn check(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(NameError::TooLong(name.len()));
    }
    match name.char_indices().find(|(_, c)| c.is_control()) {
        Some((at, character)) => Err(NameError::ControlCharacter { character, at }),
        None => Ok(()),
    }
}

/// Escapes one segment injectively. A segment of dots only has its first dot escaped too, because services
/// treat `.` and `..` as relative paths.
fn escape(segment: &str) -> String {
    let escaped = utf8_percent_encode(segment, ESCAPED).to_string();
    if escaped.bytes().all(|b| b == b'.') { format!("%2E{}", &escaped[1..]) } else { escaped }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> KeyPath {
        KeyPath::new(&Namespace::default(), Kind::Lock, name).unwrap()
    }

    #[test]
    fn hostile_names_become_one_segment_each_and_read_back() {
        let names = [
            "a",
            "a/b",
            "/",
            "//",
            ".",
            "..",
            "...",
            ".a",
            "%2E",
            "%2F",
            "%",
            "zookeeper",
            "A",
            "naïve",
            "锁",
            " ",
            "a b",
            "*",
            "a/",
            "/a",
            "🔒",
        ];
        let mut seen = std::collections::HashSet::new();
        for name in names {
            let path = path(name);
            assert_eq!(path.as_str().matches('/').count(), 2, "{path}");
            assert!(![".", ".."].contains(&path.last_segment()));
            assert_eq!(path.name(), name);
            assert_eq!(
                KeyPath::from_listing(&Namespace::default(), Kind::Lock, path.last_segment()),
                Some(path.clone())
            );
            assert!(seen.insert(path));
        }
    }

    #[test]
    fn joined_names_are_told_apart() {
        let parts = ["", "a", "a/b", "/", "%2F", "%", "a%2Fb", "b"];
        let mut seen = std::collections::HashSet::new();
        for first in parts {
            for second in parts {
                assert!(seen.insert(joined(first, second)), "{first:?} {second:?}");
            }
        }
    }

    #[test]
    fn bad_names_are_refused_with_the_reason() {
        let new = |name: &str| KeyPath::new(&Namespace::default(), Kind::Lock, name);
        assert_eq!(new(""), Err(NameError::Empty));
        assert_eq!(new(&"x".repeat(256)), Err(NameError::TooLong(256)));
        assert!(new(&"x".repeat(255)).is_ok());
        assert_eq!(new("a\0"), Err(NameError::ControlCharacter { character: '\0', at: 1 }));
        assert_eq!(new("\n"), Err(NameError::ControlCharacter { character: '\n', at: 0 }));
        assert_eq!(
            new("a\u{85}").unwrap_err().to_string(),
            "a name may not hold control characters, this one has U+0085 at byte 1"
        );
    }

    #[test]
    fn a_verbatim_path_is_kept_as_it_is_and_apart_from_the_namespace() {
        let namespace = Namespace::parse("team/prod").unwrap();
        let verbatim =
            |profile, path| KeyPath::verbatim(&namespace, WireLayout::new(profile, Kind::Lock), path);
        for path in ["/app/lock", "app/lock", "lock", "a b/", "/team/products", "/prod"] {
            let made = verbatim(WireProfile::EtcdV3, path).unwrap();
            assert_eq!((made.as_str(), made.name().as_str()), (path, path));
            assert_eq!(made.wire().map(|wire| wire.profile), Some(WireProfile::EtcdV3));
        }
        for shared in ["team", "/team", "/team/", "/team/prod", "team/prod/locks/a", "/team/prod/", "/", "//"]
        {
            let refused = verbatim(WireProfile::EtcdV3, shared);
            assert_eq!(refused, Err(NameError::OwnNamespace("team/prod".into())), "{shared}");
        }
        assert!(matches!(verbatim(WireProfile::Kazoo, "lock"), Err(NameError::NotOfProfile { .. })));
        assert_eq!(verbatim(WireProfile::EtcdV3, ""), Err(NameError::Empty));
        let (mutex, election) = (WireLayout::new(WireProfile::EtcdV3, Kind::Lock), Kind::Election);
        let election = WireLayout { kind: election, ..mutex };
        let made = |layout| KeyPath::verbatim(&namespace, layout, "/a").unwrap();
        assert_ne!(made(mutex), made(election), "one path, two queues");
    }

    #[test]
    fn namespaces_keep_their_segments() {
        assert_eq!(Namespace::parse("/team/prod/").unwrap().as_str(), "team/prod");
        assert_eq!(Namespace::parse("a/../b").unwrap().as_str(), "a/%2E./b");
        assert_eq!(Namespace::parse(""), Err(NameError::Empty));
        assert_eq!(Namespace::parse("a//b"), Err(NameError::Empty));
    }

    #[test]
    fn a_listing_with_foreign_segments_is_not_ours() {
        for foreign in ["a b", "%2f", ".", "", "%FF"] {
            assert_eq!(KeyPath::from_listing(&Namespace::default(), Kind::Lock, foreign), None, "{foreign}");
        }
    }
}
