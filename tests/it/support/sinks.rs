//! Runs a test with each kind of `OlmMachineSink`.

use keyferry::OlmMachineSink;

/// Whether a sink announces new sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Announced,
    Silent,
}

impl Kind {
    /// Turns a sink into one of this kind.
    pub(crate) fn of(self, sink: OlmMachineSink) -> OlmMachineSink {
        match self {
            Self::Announced => sink,
            Self::Silent => sink.silent(),
        }
    }
}

/// Makes two tests of each function, which takes a [`Kind`].
macro_rules! with_each_sink {
    ($($test:ident)*) => {
        $(mod $test {
            #[tokio::test]
            async fn announced() {
                super::$test(crate::support::sinks::Kind::Announced).await;
            }

            #[tokio::test]
            async fn silent() {
                super::$test(crate::support::sinks::Kind::Silent).await;
            }
        })*
    };
}

pub(crate) use with_each_sink;
