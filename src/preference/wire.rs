//! The preference in account data (MSC4287): two forms of opposite sense, and which of them counts.
//!
//! Pure: JSON in, a reading out. Only a JSON boolean is a choice.

use serde_json::{Value, json};

/// One of the two account data events in which clients write the preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, uniffi::Enum)]
pub enum PreferenceForm {
    /// `m.key_backup` with `{"enabled": …}` (MSC4287).
    Stable,
    /// `m.org.matrix.custom.backup_disabled` with `{"disabled": …}`, the form that clients wrote before MSC4287.
    Unstable,
}

/// Whether the user wants room keys backed up, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, uniffi::Enum)]
pub enum PreferenceValue {
    /// The user wants room keys backed up.
    Enabled,
    /// The user does not want room keys backed up. An existing backup may still be restored from.
    Disabled,
    /// No choice is known.
    Undetermined,
}

/// Where the value of a `SharedPreference` comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, uniffi::Enum)]
pub enum PreferenceSource {
    /// The stable form, which counts before the unstable one.
    Stable,
    /// The unstable form, because the stable one is missing or malformed.
    Unstable,
    /// Neither form is there.
    Nothing,
    /// Neither form contains a choice, and at least one has something other than a boolean in its place.
    Malformed,
}

/// The preference that the account's clients share, combined from both forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, uniffi::Record)]
pub struct SharedPreference {
    /// The combined value.
    pub value: PreferenceValue,
    /// The form that the value comes from.
    pub source: PreferenceSource,
    /// Whether both forms are well-formed and say the opposite of each other: an older client wrote only the unstable
    /// one, or a newer client only the stable one. The stable one counts.
    pub forms_disagree: bool,
}

/// The reading of one form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FormReading {
    Nothing,
    Malformed,
    /// A choice, in the sense of "enabled" for both forms.
    Says(bool),
}

/// The readings of both forms, made at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) stable: FormReading,
    pub(crate) unstable: FormReading,
}

impl PreferenceForm {
    pub(crate) const ALL: [Self; 2] = [Self::Stable, Self::Unstable];

    /// Returns the type of the account data event.
    pub(crate) fn event_type(self) -> &'static str {
        match self {
            Self::Stable => "m.key_backup",
            Self::Unstable => "m.org.matrix.custom.backup_disabled",
        }
    }

    fn field(self) -> &'static str {
        match self {
            Self::Stable => "enabled",
            Self::Unstable => "disabled",
        }
    }

    /// Converts "enabled" to the boolean that this form stores, and back.
    fn sense(self, value: bool) -> bool {
        match self {
            Self::Stable => value,
            Self::Unstable => !value,
        }
    }

    /// Reads the content of the event; `None` means that the server has no such event.
    pub(crate) fn read(self, content: Option<&Value>) -> FormReading {
        match content {
            None => FormReading::Nothing,
            Some(Value::Object(content)) => match content.get(self.field()) {
                None => FormReading::Nothing,
                Some(Value::Bool(value)) => FormReading::Says(self.sense(*value)),
                Some(_) => FormReading::Malformed,
            },
            Some(_) => FormReading::Malformed,
        }
    }

    /// Returns the event content to write.
    pub(crate) fn content(self, enabled: bool) -> Value {
        json!({ self.field(): self.sense(enabled) })
    }
}

/// Reads any content as both forms, for tests and fuzzing.
#[cfg(any(fuzzing, test))]
pub(crate) fn read_forms(content: &Value) {
    let read = |form: PreferenceForm| form.read(Some(content));
    let shared = Reading {
        stable: read(PreferenceForm::Stable),
        unstable: read(PreferenceForm::Unstable),
    }
    .shared();
    // Only a boolean is a choice.
    let has_boolean = ["enabled", "disabled"].iter().any(|field| content[*field].is_boolean());
    assert_eq!(shared.value != PreferenceValue::Undetermined, has_boolean);
}

impl PreferenceValue {
    pub(crate) fn of(enabled: bool) -> Self {
        if enabled { Self::Enabled } else { Self::Disabled }
    }

    /// Returns the choice as a boolean; `None` if there is no choice.
    pub(crate) fn choice(self) -> Option<bool> {
        match self {
            Self::Enabled => Some(true),
            Self::Disabled => Some(false),
            Self::Undetermined => None,
        }
    }
}

impl Reading {
    pub(crate) fn shared(self) -> SharedPreference {
        use FormReading::{Malformed, Nothing, Says};
        let (choice, source) = match (self.stable, self.unstable) {
            (Says(enabled), _) => (Some(enabled), PreferenceSource::Stable),
            (_, Says(enabled)) => (Some(enabled), PreferenceSource::Unstable),
            (Nothing, Nothing) => (None, PreferenceSource::Nothing),
            (Malformed, _) | (_, Malformed) => (None, PreferenceSource::Malformed),
        };
        SharedPreference {
            value: choice.map_or(PreferenceValue::Undetermined, PreferenceValue::of),
            source,
            forms_disagree: matches!((self.stable, self.unstable), (Says(stable), Says(unstable)) if stable != unstable),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_a_boolean_is_a_choice() {
        let stable = |content: Value| PreferenceForm::Stable.read(Some(&content));
        let unstable = |content: Value| PreferenceForm::Unstable.read(Some(&content));
        assert_eq!(stable(json!({ "enabled": true })), FormReading::Says(true));
        assert_eq!(stable(json!({ "enabled": false, "x": 1 })), FormReading::Says(false));
        assert_eq!(unstable(json!({ "disabled": true })), FormReading::Says(false));
        assert_eq!(unstable(json!({ "disabled": false })), FormReading::Says(true));
        for nothing in [
            json!({}),
            json!({ "disabled": true }),
            json!({ "m.key_backup": { "enabled": true } }),
        ] {
            assert_eq!(stable(nothing), FormReading::Nothing);
        }
        for odd in [
            json!(null),
            json!("true"),
            json!(1),
            json!({}),
            json!([true]),
            json!([]),
        ] {
            assert_eq!(stable(json!({ "enabled": odd })), FormReading::Malformed);
            assert_eq!(unstable(json!({ "disabled": odd })), FormReading::Malformed);
        }
        for odd in [json!([]), json!(true), json!("enabled"), json!(null)] {
            assert_eq!(stable(odd), FormReading::Malformed);
        }
        assert_eq!(PreferenceForm::Stable.read(None), FormReading::Nothing);
    }

    #[test]
    fn a_written_form_reads_back() {
        for form in PreferenceForm::ALL {
            for enabled in [true, false] {
                assert_eq!(form.read(Some(&form.content(enabled))), FormReading::Says(enabled));
            }
        }
        assert_eq!(PreferenceForm::Stable.content(true), json!({ "enabled": true }));
        assert_eq!(PreferenceForm::Unstable.content(true), json!({ "disabled": false }));
    }

    #[test]
    fn the_stable_form_wins_if_it_is_well_formed() {
        use FormReading::{Malformed, Nothing, Says};
        use PreferenceSource as Source;
        use PreferenceValue::{Disabled, Enabled, Undetermined};
        for (stable, unstable, value, source, forms_disagree) in [
            (Says(true), Says(true), Enabled, Source::Stable, false),
            (Says(true), Says(false), Enabled, Source::Stable, true),
            (Says(false), Says(true), Disabled, Source::Stable, true),
            (Says(false), Malformed, Disabled, Source::Stable, false),
            (Says(false), Nothing, Disabled, Source::Stable, false),
            (Malformed, Says(false), Disabled, Source::Unstable, false),
            (Nothing, Says(true), Enabled, Source::Unstable, false),
            (Malformed, Malformed, Undetermined, Source::Malformed, false),
            (Malformed, Nothing, Undetermined, Source::Malformed, false),
            (Nothing, Malformed, Undetermined, Source::Malformed, false),
            (Nothing, Nothing, Undetermined, Source::Nothing, false),
        ] {
            let shared = Reading { stable, unstable }.shared();
            let expected = SharedPreference {
                value,
                source,
                forms_disagree,
            };
            assert_eq!(shared, expected, "{stable:?} {unstable:?}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "true|false|enabled|disabled|.{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec(("enabled|disabled|m.key_backup|.{0,4}", inner), 0..4)
                    .prop_map(|fields| fields.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        #[test]
        fn nothing_but_the_boolean_counts(content in any_json()) {
            for form in PreferenceForm::ALL {
                let boolean = content.as_object().and_then(|object| object.get(form.field())).and_then(Value::as_bool);
                let says = match form.read(Some(&content)) {
                    FormReading::Says(enabled) => Some(form.sense(enabled)),
                    FormReading::Nothing | FormReading::Malformed => None,
                };
                prop_assert_eq!(says, boolean);
            }
        }
    }
}
