//! Runs the example `phone` as a separate process, to which a test does what an OS does to an app.

use std::{
    collections::HashSet,
    ffi::OsStr,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use keyferry_test_homeserver::Homeserver;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::Setup;

/// How long to wait for an answer. An answer that takes longer never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The most keys that the sink gets at once.
pub(crate) const BATCH: usize = 2_000;

/// A running phone. It is killed when it is dropped.
pub(crate) struct Phone {
    child: Child,
    input: Option<ChildStdin>,
    answers: Receiver<Value>,
    /// Answers that came before the one that was waited for.
    passed_over: Vec<Value>,
}

impl Phone {
    /// Starts a phone with the vault of `setup`, and with a sink that writes to [`deliveries`].
    pub(crate) fn start(homeserver: &Homeserver, setup: &Setup, more: &[&str]) -> Self {
        let mut arguments = vec![
            "--deliveries".into(),
            deliveries(setup.directory.path()).into_os_string(),
        ];
        arguments.extend(more.iter().map(Into::into));
        Self::start_with(homeserver, setup, &arguments)
    }

    /// Starts a phone with the vault of `setup`, and without a sink.
    pub(crate) fn start_without_sink(homeserver: &Homeserver, setup: &Setup) -> Self {
        Self::start_with(homeserver, setup, &[])
    }

    fn start_with(homeserver: &Homeserver, setup: &Setup, arguments: &[std::ffi::OsString]) -> Self {
        let account = write_account(homeserver, setup);
        let mut child = Command::new(example("phone"))
            .arg(account)
            .arg(setup.vault_directory())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the example is built beside this program");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let Ok(answer) = serde_json::from_str(&line) else { break };
                if sender.send(answer).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            input,
            answers,
            passed_over: Vec::new(),
        }
    }

    /// Sends one line of commands.
    pub(crate) fn send_command(&mut self, line: &str) {
        let input = self.input.as_mut().expect("its input is open");
        // This fails if the process was killed.
        let _ = writeln!(input, "{line}").and_then(|()| input.flush());
    }

    /// Waits for the next answer that has this member, and returns the member.
    pub(crate) fn answer(&mut self, member: &str) -> Value {
        let has_it = |answer: &Value| !answer[member].is_null();
        if let Some(place) = self.passed_over.iter().position(has_it) {
            return self.passed_over.remove(place)[member].clone();
        }
        loop {
            let answer = self.answers.recv_timeout(PATIENCE).expect("an answer comes");
            if has_it(&answer) {
                return answer[member].clone();
            }
            self.passed_over.push(answer);
        }
    }

    /// Waits until the phone is ready.
    pub(crate) fn ready(mut self) -> Self {
        self.answer("ready");
        self
    }

    /// Waits for the run that ends next, and returns its outcome.
    pub(crate) fn outcome(&mut self) -> String {
        let outcome = self.answer("outcome");
        outcome.as_str().expect("a text").to_owned()
    }

    /// Returns the process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the process.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("it can be signalled");
    }

    /// Suspends the process, as an OS does. Returns false if it has ended.
    pub(crate) fn suspend(&mut self) -> bool {
        self.signal(Signal::STOP);
        // Every thread must stop, which takes a moment for one that waits for the disk.
        let is_suspended = || {
            let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).ok()?;
            let stat = threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("stat")).ok());
            Some(stat.into_iter().all(|stat| stat.contains(") T ")))
        };
        while is_suspended() == Some(false) {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.is_alive()
    }

    /// Whether the process has not ended.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("a status").is_none()
    }

    /// Kills the process, and waits for its end.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// Closes the input, waits for the process to end, and returns whether the last run completed.
    pub(crate) fn end(mut self) -> bool {
        self.input.take();
        self.child.wait().expect("it ends").success()
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        // Usually it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the path of the file to which the sink of a phone writes.
fn deliveries(directory: &Path) -> PathBuf {
    directory.join("deliveries.txt")
}

/// The keys that were delivered so far, compared with the truth.
pub(crate) struct Deliveries {
    all: HashSet<String>,
    pub(crate) missing: HashSet<String>,
    lines: usize,
}

impl Deliveries {
    /// Returns deliveries of which everything is missing.
    pub(crate) fn new(homeserver: &Homeserver) -> Self {
        let names = (0..homeserver.truth().len()).map(|index| {
            let key = homeserver.truth().key(index);
            format!("{} {}", key.room_id, key.session_id)
        });
        let all: HashSet<String> = names.collect();
        Self {
            missing: all.clone(),
            all,
            lines: 0,
        }
    }

    /// Reads what the last process added, and returns how many of those keys had been delivered before. Ignores a
    /// torn line.
    pub(crate) fn read_on(&mut self, directory: &Path) -> usize {
        let text = std::fs::read_to_string(deliveries(directory)).unwrap_or_default();
        let mut again = 0;
        for line in text.lines().skip(self.lines) {
            self.lines += 1;
            again += usize::from(self.all.contains(line) && !self.missing.remove(line));
        }
        again
    }
}

/// Starts an example as a separate process, with `word` as its last argument.
pub(crate) fn spawn_example(name: &str, homeserver: &Homeserver, setup: &Setup, word: &OsStr) -> Child {
    let account = write_account(homeserver, setup);
    Command::new(example(name))
        .arg(account)
        .arg(setup.vault_directory())
        .arg(word)
        .stderr(Stdio::null())
        .spawn()
        .expect("the example is built beside this program")
}

fn write_account(homeserver: &Homeserver, setup: &Setup) -> PathBuf {
    let path = setup.directory.path().join("account.json");
    let account = serde_json::to_vec(homeserver.account()).expect("JSON");
    std::fs::write(&path, account).expect("the account is written");
    path
}

/// Returns the path of an example that `cargo test` has built beside this program.
pub(crate) fn example(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a program has a path");
    let profile = own.parent().and_then(Path::parent).expect("below the profile's folder");
    profile.join("examples").join(name)
}
