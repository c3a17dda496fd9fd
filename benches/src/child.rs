//! A process of its own for one figure, with time and memory taken from outside.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{Failure, account::Account, contestant::Contestant};

/// Makes this program a contestant.
pub(crate) const FLAG: &str = "--contestant";

/// One figure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    /// From "go" to "done".
    pub(crate) time: Duration,
    /// Peak memory less what was resident when the child was ready, in bytes.
    pub(crate) growth: u64,
}

/// Lets a contestant run once.
pub(crate) fn run(contestant: Contestant, account: &Account) -> Result<Figure, Failure> {
    let child = Command::new(std::env::current_exe()?)
        .args([FLAG, contestant.name(), &serde_json::to_string(account)?])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut child = Ended(child);
    let mut output = BufReader::new(child.0.stdout.take().ok_or("no output")?);
    expect(&mut output, "ready")?;
    let before = memory(child.0.id(), "VmRSS:")?;
    let input = child.0.stdin.as_mut().ok_or("no input")?;
    let began = Instant::now();
    input.write_all(b"go\n")?;
    let done = expect(&mut output, "done");
    let time = began.elapsed();
    done.map_err(|error| format!("{} did not come through: {error}", contestant.name()))?;
    // The child waits until its input ends: its memory can still be read.
    let peak = memory(child.0.id(), "VmHWM:")?;
    Ok(Figure {
        time,
        growth: peak.saturating_sub(before),
    })
}

/// What the child does with that: says when it is ready, works, says that it is done, and waits to be let go.
pub(crate) fn answer<T>(ready: T, work: impl FnOnce(T) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut line = String::new();
    tell("ready")?;
    std::io::stdin().read_line(&mut line)?;
    work(ready)?;
    tell("done")?;
    line.clear();
    std::io::stdin().read_line(&mut line)?;
    Ok(())
}

fn tell(word: &str) -> std::io::Result<()> {
    let mut output = std::io::stdout();
    writeln!(output, "{word}")?;
    output.flush()
}

fn expect(output: &mut BufReader<ChildStdout>, word: &str) -> Result<(), Failure> {
    let mut line = String::new();
    output.read_line(&mut line)?;
    if line.trim() == word {
        Ok(())
    } else {
        Err(format!("{word} was expected, not {line:?}").into())
    }
}

/// A line of the kernel's on a process, in bytes.
fn memory(pid: u32, name: &str) -> Result<u64, Failure> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes = line.and_then(|rest| rest.split_whitespace().next());
    Ok(kibibytes.ok_or("no such line")?.parse::<u64>()? * 1024)
}

/// A child that does not outlive what it was started for.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It has nothing to save.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
