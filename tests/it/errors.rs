//! `docs/errors.md` lists every error and what an app can do about it. The tests of the Kotlin and Swift packages read
//! the same tables.

use std::{collections::BTreeSet, fmt::Debug, fs, path::Path};

use keyferry::{AccessError, ExportError, OpenError, Remedy, ResetError, ResetStop, RunFailure, UnlockError};
use syn::{Item, ItemEnum};

use crate::support::sources::rust_files;

/// One error: its name, its sentence if it has one, and its remedy.
type Row = (String, Option<String>, Remedy);

macro_rules! rows {
    ($rows:ident: $type:ident { $($error:expr),+ $(,)? }) => {
        $($rows.push({
            use $type::*;
            let error = $error;
            (name_of(stringify!($type), &error), Some(error.to_string()), error.remedy())
        });)+
    };
}

fn name_of(of: &str, error: &impl Debug) -> String {
    let variant = format!("{error:?}");
    let end = variant.find(|c: char| !c.is_alphanumeric()).unwrap_or(variant.len());
    format!("{of}.{}", &variant[..end])
}

fn all_errors() -> Vec<Row> {
    let mut rows = Vec::new();
    rows!(rows: AccessError {
        Locked, NoBackup, OnHold { causes: vec![] }, Unreachable { retry_after: None }, ServerFault,
        NotSignedIn { soft_logout: false }, RefusedByServer, Tls, CryptoUnavailable,
        CryptoRefuses { reason: "…".to_owned() }, VaultInaccessible, DiskFull, VaultGone, VaultDamaged, ShutDown,
        NotConfigured, Internal,
    });
    rows!(rows: OpenError {
        InvalidHomeserverUrl, InvalidAccount, UnusableDataDir, WrongVaultKey, OtherProtection,
        KeyringUnavailable { key_lost: false }, OtherAccount, VaultTooNew, VaultDamaged, DiskFull, VaultInUse, Internal,
    });
    rows!(rows: UnlockError { NotAKey, Mistyped, WrongKey, NoPassphrase, Unsupported });
    rows!(rows: ExportError { EmptyPassphrase, UnwritableFile, Cancelled });
    rows!(rows: ResetError {
        CannotKeepSecrets, BackupExists, UnderWay, NotUnderWay, LosesKeys { losses: vec![] }, NotProved,
        CurrentVersion, PreferenceNotConfirmed, Halted { why: ResetStop::SecretStorageChanged },
    });
    let failures = {
        use RunFailure::*;
        let signed_out = NotSignedIn { soft_logout: false };
        [
            NoBackup,
            BackupNotServed,
            UnsupportedAlgorithm,
            signed_out,
            RefusedByServer,
            Tls,
            DiskFull,
            Overtaken,
            VaultGone,
            VaultDamaged,
            Internal,
        ]
    };
    rows.extend(failures.map(|failure| (name_of("RunFailure", &failure), None, failure.remedy())));
    rows
}

/// Returns the cells of the tables' rows that are about an error.
fn table() -> Vec<Vec<String>> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors.md")).expect("the page");
    let cells = |line: &str| {
        let cells = line.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().replace('`', "")).collect::<Vec<_>>()
    };
    let is_an_error = |cells: &Vec<String>| cells[0].contains("Error.") || cells[0].contains("RunFailure.");
    page.lines()
        .filter(|line| line.starts_with("| `"))
        .map(cells)
        .filter(is_an_error)
        .collect()
}

#[test]
fn the_page_says_what_an_app_can_do_about_each_error() {
    let table = table();
    for (name, sentence, remedy) in all_errors() {
        let row = table
            .iter()
            .find(|row| row[0] == name)
            .unwrap_or_else(|| panic!("{name} is not on the page"));
        if let Some(sentence) = sentence {
            assert_eq!(row[1], sentence, "{name}");
        }
        let said = row.last().expect("a cell").split(';').next();
        assert_eq!(said, Some(format!("{remedy:?}").as_str()), "{name}");
    }
    let key_lost = OpenError::KeyringUnavailable { key_lost: true };
    assert_eq!(key_lost.remedy(), Remedy::SetVaultAside);
}

#[test]
fn an_error_that_wraps_another_passes_on_its_sentence_and_its_remedy() {
    let access = AccessError::VaultGone;
    let (unlock, export) = (UnlockError::from(access.clone()), ExportError::from(access.clone()));
    let reset = ResetError::from(access.clone());
    let remedies = [unlock.remedy(), export.remedy(), reset.remedy()];
    assert_eq!(remedies, [access.remedy(); 3]);
    let sentences = [unlock.to_string(), export.to_string(), reset.to_string()];
    assert_eq!(sentences, [(); 3].map(|()| access.to_string()));
}

#[test]
fn the_page_and_this_test_name_every_error_of_the_source() {
    let mut variants = BTreeSet::new();
    for file in rust_files("src") {
        let source = fs::read_to_string(&file).expect("a source file");
        let items = syn::parse_file(&source).expect("Rust").items;
        for item in items {
            let Item::Enum(ItemEnum {
                ident, variants: found, ..
            }) = item
            else {
                continue;
            };
            let name = ident.to_string();
            if [
                "AccessError",
                "OpenError",
                "UnlockError",
                "ExportError",
                "ResetError",
                "RunFailure",
            ]
            .contains(&name.as_str())
            {
                variants.extend(found.iter().map(|variant| format!("{name}.{}", variant.ident)));
            }
        }
    }
    let on_the_page: BTreeSet<_> = table().into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(on_the_page, variants);
    let wraps = |name: &String| name.ends_with(".Access");
    let tested: BTreeSet<_> = all_errors().into_iter().map(|row| row.0).collect();
    assert_eq!(tested, variants.iter().filter(|name| !wraps(name)).cloned().collect());
}
