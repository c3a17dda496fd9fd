//! What the app grants background work. The jobs know of it, and nothing else of each other.

/// How much a run may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, uniffi::Record)]
pub struct RunBudget {
    /// Milliseconds after which the run comes back by itself; at least 1,000 are of use. `None`: until it is done.
    #[uniffi(default = None)]
    pub max_duration_ms: Option<u64>,
}
