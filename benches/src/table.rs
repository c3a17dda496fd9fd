//! A table of the report.

use crate::targets::Target;

/// The results of one measurement.
pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) about: String,
    /// The titles of the columns. The first column says what a row is about.
    pub(crate) columns: &'static [&'static str],
    pub(crate) rows: Vec<Vec<String>>,
    pub(crate) targets: Vec<Target>,
}
