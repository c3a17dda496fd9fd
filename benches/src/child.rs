//! Measures one figure in a separate process, with time and memory taken from outside.

use std::{
    ffi::OsString,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdout, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use serde::{Serialize, de::DeserializeOwned};

use crate::Failure;

/// The unit of processor time in `/proc` on every Linux of today.
const TICK: Duration = Duration::from_millis(10);
/// Fields of `/proc/PID/stat` between the name of the program and its time in user mode.
const FIELDS_BEFORE_CPU: usize = 11;

/// The kernel's figure for pages of files. They are nearly all of the program: the database is not mapped.
const CODE: &str = "RssFile:";

/// The argument that makes this program a child.
pub(crate) const FLAG: &str = "--child";

/// What a piece of work took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    /// From "go" to "done".
    pub(crate) time: Duration,
    /// Peak memory minus the memory that was resident when the child was ready, in bytes.
    pub(crate) growth: u64,
    /// The part of the growth that is pages of the program, which the kernel can drop at any time, in bytes.
    pub(crate) code: u64,
    /// Time of all cores, in user mode and in the kernel.
    pub(crate) cpu: Duration,
    /// Bytes that went to the disk.
    pub(crate) written: u64,
}

/// Runs the child with this name once. Returns its figure and its answer.
pub(crate) fn run<A: DeserializeOwned>(name: &str, told: &impl Serialize) -> Result<(Figure, A), Failure> {
    run_of(&std::env::current_exe()?, name, told)
}

/// Runs the child with this name of a benchmark that may be another one than this.
pub(crate) fn run_of<A: DeserializeOwned>(
    program: &Path,
    name: &str,
    told: &impl Serialize,
) -> Result<(Figure, A), Failure> {
    let child = Command::new(program)
        .args([FLAG, name, &serde_json::to_string(told)?])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut child = Ended(child);
    let mut output = BufReader::new(child.0.stdout.take().ok_or("no output")?);
    expect(&mut output, "ready")?;
    let before = memory(child.0.id(), "VmRSS:")?;
    let code_before = memory(child.0.id(), CODE)?;
    let (cpu_before, written_before) = (cpu(child.0.id())?, written(child.0.id())?);
    let input = child.0.stdin.as_mut().ok_or("no input")?;
    let began = Instant::now();
    input.write_all(b"go\n")?;
    let done = expect(&mut output, "done");
    let time = began.elapsed();
    let answer = done.map_err(|error| format!("{name} failed: {error}"))?;
    // The child waits until its input ends: its memory can still be read.
    let peak = memory(child.0.id(), "VmHWM:")?;
    let code = memory(child.0.id(), CODE)?;
    let (cpu_after, written_after) = (cpu(child.0.id())?, written(child.0.id())?);
    // The child deletes its temporary files when it ends by itself.
    drop(child.0.stdin.take());
    child.0.wait()?;
    let figure = Figure {
        time,
        growth: peak.saturating_sub(before),
        code: code.saturating_sub(code_before),
        cpu: cpu_after.saturating_sub(cpu_before),
        written: written_after.saturating_sub(written_before),
    };
    Ok((figure, serde_json::from_str(&answer)?))
}

/// Does the work of a child: the arguments are its name and its orders.
pub(crate) fn main(
    mut arguments: impl Iterator<Item = OsString>,
    work: fn(&str, &str) -> Result<(), Failure>,
) -> ExitCode {
    let mut text = || arguments.next().and_then(|text| text.into_string().ok());
    let (name, told) = (text().unwrap_or_default(), text().unwrap_or_default());
    match work(&name, &told) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            crate::say(&format!("failed: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Does `work` when the parent says "go": reports before that it is ready, reports the answer after it, and then
/// waits until the parent closes the input.
pub(crate) fn answer<T, A: Serialize>(ready: T, work: impl FnOnce(T) -> Result<A, Failure>) -> Result<(), Failure> {
    let mut line = String::new();
    tell("ready")?;
    std::io::stdin().read_line(&mut line)?;
    let answer = serde_json::to_string(&work(ready)?)?;
    tell(&format!("done {answer}"))?;
    line.clear();
    std::io::stdin().read_line(&mut line)?;
    Ok(())
}

fn tell(line: &str) -> std::io::Result<()> {
    let mut output = std::io::stdout();
    writeln!(output, "{line}")?;
    output.flush()
}

/// Reads a line that must begin with this word, and returns what follows it.
fn expect(output: &mut BufReader<ChildStdout>, word: &str) -> Result<String, Failure> {
    let mut line = String::new();
    output.read_line(&mut line)?;
    match line.trim().strip_prefix(word) {
        Some(rest) => Ok(rest.trim().to_owned()),
        None => Err(format!("expected {word}, got {line:?}").into()),
    }
}

/// Returns one of the kernel's memory figures for a process, in bytes.
fn memory(pid: u32, name: &str) -> Result<u64, Failure> {
    Ok(figure(pid, "status", name)? * 1024)
}

/// Returns how many bytes a process has sent to the disk.
fn written(pid: u32) -> Result<u64, Failure> {
    figure(pid, "io", "write_bytes:")
}

/// Returns the figure behind this name in a file of the kernel's about a process.
fn figure(pid: u32, file: &str, name: &str) -> Result<u64, Failure> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let figure = line.and_then(|rest| rest.split_whitespace().next());
    Ok(figure.ok_or("no such line")?.parse()?)
}

/// Returns the processor time of a process, in steps of ten milliseconds.
fn cpu(pid: u32) -> Result<Duration, Failure> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name of the program, in brackets, may have spaces.
    let (_, fields) = text.rsplit_once(')').ok_or("no such file")?;
    let both = fields.split_whitespace().skip(FIELDS_BEFORE_CPU).take(2);
    let ticks = both.map(str::parse::<u32>).sum::<Result<u32, _>>()?;
    Ok(TICK * ticks)
}

/// A child process that is killed when this is dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It has nothing to save.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
