//! The example `phone` as a process of its own: what an OS does to an app is done to it.

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

use crate::common::Setup;

/// Nothing that is waited for here takes longer, unless it never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running one; killed when it is dropped.
pub(crate) struct Phone {
    child: Child,
    input: Option<ChildStdin>,
    answers: Receiver<Value>,
    /// Those that came before the one that was waited for.
    passed_over: Vec<Value>,
}

impl Phone {
    /// Starts one over the vault of `setup`, whose sink writes to [`deliveries`].
    pub(crate) fn start(homeserver: &Homeserver, setup: &Setup, more: &[&str]) -> Self {
        let mut arguments = vec![
            "--deliveries".into(),
            deliveries(setup.directory.path()).into_os_string(),
        ];
        arguments.extend(more.iter().map(Into::into));
        Self::start_with(homeserver, setup, &arguments)
    }

    /// The same without a sink.
    pub(crate) fn start_without_sink(homeserver: &Homeserver, setup: &Setup) -> Self {
        Self::start_with(homeserver, setup, &[])
    }

    fn start_with(homeserver: &Homeserver, setup: &Setup, arguments: &[std::ffi::OsString]) -> Self {
        let account = write_account(homeserver, setup);
        let mut child = Command::new(example("phone"))
            .arg(account)
            .arg(setup.directory.path().join("vault"))
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

    pub(crate) fn tell(&mut self, line: &str) {
        let input = self.input.as_mut().expect("its input is open");
        // A process that was killed does not listen.
        let _ = writeln!(input, "{line}").and_then(|()| input.flush());
    }

    /// The next answer that has this member.
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

    /// Waits until it is there.
    pub(crate) fn ready(mut self) -> Self {
        self.answer("ready");
        self
    }

    /// The outcome of the run that ends next.
    pub(crate) fn outcome(&mut self) -> String {
        let outcome = self.answer("outcome");
        outcome.as_str().expect("a text").to_owned()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("it can be signalled");
    }

    /// Suspends it, as an OS does; false if it has ended.
    pub(crate) fn suspend(&mut self) -> bool {
        self.signal(Signal::STOP);
        // Every thread has to come to a halt: one that waits for the disk takes its time.
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

    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("a status").is_none()
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// Closes its input, and waits for its end: whether the last run completed.
    pub(crate) fn end(mut self) -> bool {
        self.input.take();
        self.child.wait().expect("it ends").success()
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        // It has ended already, as a rule.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the sink of a phone writes.
pub(crate) fn deliveries(directory: &Path) -> PathBuf {
    directory.join("deliveries.txt")
}

/// What has been delivered so far, held against the truth.
pub(crate) struct Deliveries {
    all: HashSet<String>,
    pub(crate) missing: HashSet<String>,
    lines: usize,
}

impl Deliveries {
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

    /// Reads what the last process added; gives the number of keys that had come before. A torn line is no key.
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

/// An example that is run as it is.
pub(crate) fn spawn_example(name: &str, homeserver: &Homeserver, setup: &Setup, word: &OsStr) -> Child {
    let account = write_account(homeserver, setup);
    Command::new(example(name))
        .arg(account)
        .arg(setup.directory.path().join("vault"))
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

/// An example that `cargo test` has built beside this program.
fn example(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a program has a path");
    let profile = own.parent().and_then(Path::parent).expect("below the profile's folder");
    profile.join("examples").join(name)
}

/// A small generator: the same seed gives the same test.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// From 0 to 1.
    pub(crate) fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// From 0 to below `count`.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        (self.next() * count as f64) as usize
    }
}
