//! The table of diagnostic codes. A code never changes its meaning; the list is a snapshot test, and
//! each is explained by `passmuster explain CODE` and in `docs/DIAGNOSTICS.md`.

use super::diag::Severity;
use serde::{Serialize, Serializer};
use std::fmt;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $id:literal $severity:ident $title:literal;)+) => {
        /// A stable diagnostic code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $($(#[doc = $doc])+ $name,)+ }

        impl Code {
            /// Every code, in the order of its number.
            pub const ALL: &'static [Code] = &[$(Code::$name,)+];

            /// `PM0102`.
            pub fn id(self) -> &'static str { match self { $(Code::$name => $id,)+ } }

            /// What it is, in a few words.
            pub fn title(self) -> &'static str { match self { $(Code::$name => $title,)+ } }

            /// Why it is refused and how to mend it.
            pub fn explanation(self) -> &'static str {
                match self { $(Code::$name => concat!($($doc, "\n",)+),)+ }
            }

            /// How bad it is.
            pub fn severity(self) -> Severity { match self { $(Code::$name => Severity::$severity,)+ } }
        }
    };
}

codes! {
    /// The file could not be opened. Check the path and the permissions.
    Unreadable = "PM0001" Error "file cannot be read";
    /// Files are UTF-8. A byte-order mark of UTF-16 means that an editor saved it in another encoding.
    NotUtf8 = "PM0002" Error "file is not UTF-8";
    /// Files that people write are small; anything above 4 MiB is refused before it is parsed.
    TooLarge = "PM0003" Error "file is too large";
    /// The text is not YAML.
    Syntax = "PM0004" Error "not valid YAML";
    /// Over 200 000 values once aliases are expanded, as much text, or nesting over 64 deep is refused: a small file may
    /// not make a large amount of work.
    Bomb = "PM0005" Error "too many or too deeply nested values";
    /// A file holds one document.
    Documents = "PM0006" Error "not exactly one document";
    /// YAML tags such as `!!python/object` have no meaning here.
    Tagged = "PM0007" Error "YAML tag";
    /// Every path is read once; a link that leads back to itself ends the walk there.
    Cycle = "PM0008" Error "directory or link leads back to itself";

    /// The key is not known here. It is refused, because a misspelt promise would silently not be made.
    UnknownKey = "PM0101" Error "unknown key";
    /// One mapping holds a key twice; which one counts would depend on the reader.
    DuplicateKey = "PM0102" Error "duplicate key";
    /// A key that is always needed is not there.
    MissingKey = "PM0103" Error "missing key";
    /// The value has another shape than what is read here.
    WrongType = "PM0104" Error "wrong type";
    /// `yes`, `no`, `on`, `off`, `y` and `n` are booleans to some YAML readers and text to others. Write `true` or
    /// `false`, or quote the word.
    AmbiguousBoolean = "PM0105" Error "ambiguous boolean";
    /// A duration is a number with a unit: `500ms`, `30s`, `15m`, `1h30m`, `7d`, `2w`.
    BadDuration = "PM0106" Error "not a duration";
    /// A size is a number with a unit: `512B`, `16MiB`, `200MB`, `2GiB`.
    BadSize = "PM0107" Error "not a size";
    /// A rate is a number per unit of time: `200/s`, `30/m`.
    BadRate = "PM0108" Error "not a rate";
    /// The number is outside of what the setting allows.
    OutOfRange = "PM0109" Error "out of range";
    /// The value is not one of those that can be chosen.
    BadChoice = "PM0110" Error "not one of the choices";
    /// Secrets are given by reference, `env:NAME` or `file:PATH`, never by value. The value that stands
    /// there is not repeated in the message.
    SecretByValue = "PM0111" Error "secret given by value";
    /// Names consist of lower-case letters, digits and single dashes.
    BadName = "PM0112" Error "not a usable name";
    /// A setting of a server that the lab keeps: it must set it itself, to archive, recover or measure, and a value in the
    /// file would be lost or break the run.
    ManagedSetting = "PM0113" Error "setting that passmuster keeps";

    /// The kind of system is not registered. `passmuster list systems` names those that are.
    UnknownSystemKind = "PM0201" Error "unknown kind of system";
    /// A step, backup or probe names a system that the scenario does not have.
    UnknownSystem = "PM0202" Error "no such system in this scenario";
    /// The fault is not registered. `passmuster list faults` names those that are.
    UnknownFault = "PM0203" Error "unknown fault";
    /// The probe is not registered. `passmuster list probes` names those that are.
    UnknownProbe = "PM0204" Error "unknown probe";
    /// The recovery is not registered. `passmuster list recoveries` names those that are.
    UnknownRecovery = "PM0205" Error "unknown recovery";
    /// The backup method is not registered. `passmuster list methods` names those that are.
    UnknownMethod = "PM0206" Error "unknown backup method";
    /// The workload is not registered. `passmuster list workloads` names those that are.
    UnknownWorkload = "PM0207" Error "unknown workload";
    /// The expectation is not one that the verdict knows. `passmuster list expectations` names them.
    UnknownExpectation = "PM0208" Error "unknown expectation";
    /// A step is exactly one of `fault`, `detect` or `recover`.
    BadStep = "PM0209" Error "step is not one action";
    /// The order of the steps cannot be run: a recovery needs a fault before it, a target that is found relative to a
    /// fault needs that fault, one that is found from an alert needs its detection. A drill ends with its one recovery:
    /// nothing after it would be judged.
    BadOrder = "PM0210" Error "steps in an impossible order";
    /// A target taken from the time of an alert lies after the damage unless a margin above zero is given.
    NoMargin = "PM0211" Error "an alert-based target needs a margin";
    /// The system is of another kind than what the step needs.
    WrongSystemKind = "PM0212" Error "system of the wrong kind";
    /// The row is not one of the requirement rows (`S1-1` … `S5-13`). `rows` is a label; it can be left out.
    UnknownRow = "PM0213" Error "unknown requirement row";
    /// `--set` is `key=value`, and names a setting by its path (`systems.db.postgres.data`), or by the end of it where only
    /// one setting ends so (`data`). Settings that the file leaves at their default can be named, too.
    BadSetting = "PM0214" Error "setting that cannot be applied";
    /// No scenario is called so, neither a shipped one nor one below `scenarios/`. `passmuster list scenarios` names
    /// the shipped ones; a file is given by its path.
    UnknownScenario = "PM0215" Error "unknown scenario";
    /// A drill runs one database, the one that the backup is of, and one store, the one that it goes to. Another system
    /// would be read and never started, so that no fault on it happens and no promise about it is kept.
    UnusedSystem = "PM0216" Error "system that the drill would not run";
    /// An expectation, an objective or a setting about which nothing in this scenario can say anything. It would be
    /// passed over without a word, and whoever wrote it would take it for proven.
    NotApplicable = "PM0217" Error "does not apply to this scenario";

    /// The objective is below what the method can reach in the worst case, by arithmetic alone. After the loss of an
    /// instance, a recovery from the archive can lose what was written since the last segment left it: `archive_timeout`,
    /// and about a second until the server notices; the time until the store has it comes on top and is counted as
    /// nothing. Promise more, archive more often, or replicate synchronously.
    RpoBelowWorstCase = "PM0301" Contradiction "objective below the arithmetic worst case";
    /// Loss is measured from acknowledged writes, so the load must run between the backup and the fault: `lead` of the
    /// workload is more than nothing.
    NothingBeforeFault = "PM0302" Contradiction "no load before the fault";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_ascending() {
        let ids: Vec<_> = Code::ALL.iter().map(|c| c.id()).collect();
        let mut sorted = ids.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(ids, sorted);
    }
}
