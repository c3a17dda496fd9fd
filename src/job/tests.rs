//! Tests the shared machinery with a job that has nothing to do with the download: it notes rooms for a while.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use url::Url;

use super::*;
use crate::{
    context::Context,
    decryption_keys::DecryptionKeys,
    homeserver::{
        AccessTokens, Homeserver, HttpExchange, HttpRequest, HttpTransport, NoToken, TokenRequest, TransportError,
    },
    milliseconds::Milliseconds,
    secret::SecretString,
    vault::{OpenVaultError, Protection, Vault, VaultError, Writer},
    wake_up::{WakeUp, WakeUpPurpose, WakeUps},
};

const WORKS: WorkSet = WorkSet::of(&[Work::Open]);

/// An app that is only ever asked for wake-ups.
#[derive(Default)]
struct App(Mutex<Vec<Option<WakeUp>>>);

#[async_trait]
impl AccessTokens for App {
    async fn access_token(&self, _request: TokenRequest) -> Result<SecretString, NoToken> {
        Err(NoToken::SignedOut)
    }
}

#[async_trait]
impl WakeUps for App {
    async fn schedule_wake_up(&self, _purpose: WakeUpPurpose, wake_up: Option<WakeUp>) -> bool {
        self.0.lock().expect("not poisoned").push(wake_up);
        true
    }
}

struct NoTransport;

impl HttpTransport for NoTransport {
    fn start(&self, _request: HttpRequest) -> Result<Arc<dyn HttpExchange>, TransportError> {
        Err(TransportError::Offline)
    }

    fn close_idle(&self) -> Result<(), TransportError> {
        Ok(())
    }
}

/// The job: notes one room after the other.
struct NoteRooms {
    jobs: Jobs,
    app: Arc<App>,
    noted: AtomicU64,
    rooms: u64,
}

impl NoteRooms {
    fn new(directory: &Path, rooms: u64) -> Self {
        let unprotected = || Ok::<_, OpenVaultError>(Protection::None);
        let vault = Vault::open(directory, "@a:x", "D", unprotected).expect("a vault");
        let url = Url::parse("http://127.0.0.1").expect("a URL");
        let app = Arc::new(App::default());
        let context = Context {
            homeserver: Homeserver::new(&url, "@a:x", Arc::new(NoTransport), app.clone()),
            wake_ups: app.clone(),
            sink: None,
            vault,
            keys: Arc::new(DecryptionKeys::default()),
            process_name: "app".to_owned(),
            files: None,
        };
        Self {
            jobs: Jobs::new(Arc::new(context), Gate::new(Conditions::default())),
            app,
            noted: AtomicU64::new(0),
            rooms,
        }
    }

    async fn run(&self, max_duration: Option<Milliseconds>) -> Result<(), JobEnd> {
        let result = self.run_once(RunBudget { max_duration }).await;
        let next = match &result {
            Ok(()) => NextRun::Never,
            Err(end) => end.next_run(),
        };
        let left = RemainingWork {
            network_bytes: None,
            is_offline_left: result.is_err(),
        };
        let (purpose, conditions) = (WakeUpPurpose::Download, Conditions::default());
        next.ask(&*self.app, purpose, left, &conditions).await;
        result
    }

    async fn run_once(&self, budget: RunBudget) -> Result<(), JobEnd> {
        let claim = self.jobs.claim(WORKS)?;
        let context = self.jobs.context().ok_or(JobEnd::Stopped)?;
        run(&self.jobs, &context, &claim.run, budget, |turn| self.phases(turn)).await
    }

    async fn phases(&self, mut turn: ActiveRun) -> Result<(), JobEnd> {
        loop {
            let phase = turn.begin_phase().await?;
            let writer = turn.writer.clone();
            let stages = async {
                while self.noted() < self.rooms && !phase.stop.winds_down() {
                    let room = format!("!{}:x", self.noted());
                    in_writer(&writer, move |writer: &mut Writer| {
                        writer.write(|tx| tx.prioritise(&[room]))
                    })
                    .await?;
                    self.noted.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Ok::<_, VaultError>(())
            };
            match turn.work(&phase, stages).await {
                PhaseEnd::Changed(result) => result?,
                PhaseEnd::Over(result) => {
                    result?;
                    return match self.noted() < self.rooms {
                        true => Err(turn.end()),
                        false => Ok(()),
                    };
                }
            }
        }
    }

    fn noted(&self) -> u64 {
        self.noted.load(Ordering::SeqCst)
    }

    /// Waits until the job makes progress.
    async fn is_at_work(&self) {
        let before = self.noted();
        while self.noted() == before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn last_wake_up(&self) -> Option<WakeUp> {
        *self.app.0.lock().expect("not poisoned").last().expect("a wake-up")
    }
}

#[tokio::test]
async fn a_job_runs_to_its_end_one_at_a_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let job = NoteRooms::new(directory.path(), 50);
    let both = tokio::join!(job.run(None), job.run_once(RunBudget::default()));
    assert_eq!(both.0, Ok(()));
    assert!(matches!(both.1, Err(JobEnd::AlreadyRunning { by }) if by.is_this_process));
    assert_eq!(job.noted(), 50);
    assert_eq!(job.last_wake_up(), None);
    assert!(job.jobs.current().is_none());
}

#[tokio::test]
async fn a_pause_stops_a_job_and_frees_its_lease_until_it_resumes() {
    let directory = tempfile::tempdir().expect("a directory");
    let job = NoteRooms::new(directory.path(), 1_000_000);
    let pause = async {
        job.is_at_work().await;
        job.jobs.gate.hold(PauseCause::Thermal);
        job.jobs.wait_until_allowed(false).await;
        let noted = job.noted();
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(job.noted(), noted, "nothing is at work");
        let context = job.jobs.context().expect("it is not shut down");
        let lease = context.vault.connect().and_then(|vault| vault.lease());
        assert_eq!(lease.expect("the vault can be read"), None);
    };
    let (result, ()) = tokio::join!(job.run(None), pause);
    let held = JobEnd::Paused {
        causes: vec![PauseCause::Thermal],
    };
    assert_eq!(result, Err(held.clone()));
    assert!(
        job.last_wake_up()
            .is_some_and(|wake_up| wake_up.not_before > Milliseconds(0) && !wake_up.needs_network)
    );
    assert_eq!(job.run(None).await, Err(held));

    job.jobs.gate.release(PauseCause::Thermal);
    // A cause that stops only other kinds of work does not affect this job.
    job.jobs.gate.hold(PauseCause::Offline);
    let end = async {
        job.is_at_work().await;
        job.jobs.end_run();
    };
    let (result, ()) = tokio::join!(job.run(None), end);
    let causes = vec![PauseCause::Offline];
    assert_eq!(result, Err(JobEnd::Paused { causes }));
}

#[tokio::test]
async fn a_job_keeps_its_budget_and_asks_for_its_wake_up() {
    let directory = tempfile::tempdir().expect("a directory");
    let job = NoteRooms::new(directory.path(), 1_000_000);
    let began = Instant::now();
    assert_eq!(job.run(Some(Milliseconds(600))).await, Err(JobEnd::OutOfBudget));
    assert!(began.elapsed() < Duration::from_secs(30));
    assert!(job.noted() > 0);
    assert!(
        job.last_wake_up()
            .is_some_and(|wake_up| wake_up.not_before == Milliseconds(0))
    );
}

#[tokio::test]
async fn a_newer_run_overtakes_a_job() {
    let directory = tempfile::tempdir().expect("a directory");
    let job = NoteRooms::new(directory.path(), 1_000_000);
    let overtake = async {
        job.is_at_work().await;
        let context = job.jobs.context().expect("it is not shut down");
        let mut connection = context.vault.connect().expect("a connection");
        connection.deliver_again().expect("it is written");
    };
    let (result, ()) = tokio::join!(job.run(None), overtake);
    assert_eq!(
        result,
        Err(JobEnd::Failed {
            reason: RunFailure::Overtaken
        })
    );
}

#[tokio::test]
async fn a_dropped_job_ends_and_none_begins_after_a_shutdown() {
    let directory = tempfile::tempdir().expect("a directory");
    let job = NoteRooms::new(directory.path(), 1_000_000);
    tokio::select! {
        result = job.run(None) => panic!("{result:?}"),
        () = job.is_at_work() => {}
    }
    job.jobs.quiescent().await;
    let noted = job.noted();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(job.noted(), noted);
    assert!(job.jobs.shut_down().is_some());
    assert_eq!(job.run(None).await, Err(JobEnd::Stopped));
    assert_eq!(job.jobs.read(|_| Ok(())).await, Err(AccessError::ShutDown));
}
