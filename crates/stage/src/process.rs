//! Programs this stage starts and ends.
//!
//! **Invariant:** a program is only ever signalled by an id that came from starting it (or, for an app, from the
//! driver that started it), and while that id is known to be still its own.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::until;

/// How long a program may take to end when asked to, before it is made to.
const GRACE: Duration = Duration::from_secs(3);

/// A running program; goes with its whole process group when dropped.
pub(crate) struct Process {
    name: String,
    child: Child,
    said: PathBuf,
    complained: PathBuf,
}

impl Process {
    /// Starts `command`; what it prints goes to `name.out` and `name.err` in `logs`.
    pub(crate) fn start(name: &str, mut command: Command, logs: &Path) -> Result<Self> {
        let said = logs.join(format!("{name}.out"));
        let complained = logs.join(format!("{name}.err"));
        let child = command
            .stdout(File::create(&said)?)
            .stderr(File::create(&complained)?)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {name} ({command:?})"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            said,
            complained,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits for a line on its standard output that `pick` takes something from.
    pub(crate) async fn wait_for_line<T>(
        &mut self,
        deadline: Duration,
        pick: impl Fn(&str) -> Option<T>,
    ) -> Result<T> {
        let what = format!("a line from {}", self.name);
        until(what, deadline, async || {
            let said = fs::read_to_string(&self.said)?;
            // The last line may be half written.
            let whole = said.rsplit_once('\n').map_or("", |(whole, _)| whole);
            match whole.lines().find_map(&pick) {
                Some(found) => Ok(Some(found)),
                None => self.must_run().map(|()| None),
            }
        })
        .await
    }

    /// An error with its last words if it has ended.
    pub(crate) fn must_run(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended early ({status}): {}", self.name, self.last_words()),
        }
    }

    fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.complained).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }

    /// Asks it to end and waits until it has.
    pub(crate) async fn terminate(&mut self, deadline: Duration) -> Result<ExitStatus> {
        kill_process(self.pid(), Signal::TERM)?;
        until(format!("{} to end", self.name), deadline, async || {
            Ok(self.child.try_wait()?)
        })
        .await
    }

    /// Ends it without asking.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Until `wait` has collected the child its id cannot be given to another program, so these signals
        // cannot go astray.
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        let group = self.pid();
        let _ = kill_process_group(group, Signal::TERM);
        let asked = Instant::now();
        while asked.elapsed() < GRACE {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.child.wait();
    }
}

/// A program that the kernel ends with the thread that starts it: a test run that is itself killed drops nothing,
/// and would leave a desktop behind.
pub(crate) fn leashed(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]).arg(program);
    command
}

/// Is there a program with this id that has not ended? (A zombie has.)
pub(crate) fn is_running(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state follows the name, which is in brackets and may hold anything.
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// The programs that `parent` started and that still run.
pub(crate) fn children(parent: Pid) -> Result<Vec<Pid>> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{parent}/task"))? {
        // A thread may end between being listed and being read.
        let text = fs::read_to_string(task?.path().join("children")).unwrap_or_default();
        found.extend(
            text.split_whitespace()
                .filter_map(|id| Pid::from_raw(id.parse().ok()?)),
        );
    }
    found.retain(|pid| is_running(*pid));
    Ok(found)
}

/// Runs a program to its end and gives what it printed; an error with its complaint if it failed.
pub(crate) fn output_of(mut command: Command) -> Result<String> {
    let output = command.output().with_context(|| format!("running {command:?}"))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let words: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
        bail!(
            "{} failed ({}): {}",
            words.join(" "),
            output.status,
            complaint.trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn a_program_and_what_it_started_end_with_the_value() {
        let logs = tempfile::tempdir().expect("a folder");
        let mut process =
            Process::start("family", shell("sleep 600 & echo $!; wait"), logs.path()).expect("starts");
        let child = process
            .wait_for_line(GRACE, |line| Pid::from_raw(line.parse().ok()?))
            .await
            .expect("an id");
        let parent = process.pid();
        assert!(is_running(parent) && is_running(child));
        assert_eq!(children(parent).expect("readable"), [child]);

        drop(process);
        assert!(!is_running(parent));
        until("the grandchild to end", GRACE, async || {
            Ok((!is_running(child)).then_some(()))
        })
        .await
        .expect("ends");
    }

    #[tokio::test]
    async fn a_program_that_ends_early_is_quoted() {
        let logs = tempfile::tempdir().expect("a folder");
        let mut process =
            Process::start("brief", shell("echo no such luck >&2; exit 3"), logs.path()).expect("starts");
        let error = process
            .wait_for_line(GRACE, |line| Some(line.to_owned()))
            .await
            .expect_err("says nothing");
        assert!(error.to_string().contains("no such luck"), "{error}");
    }
}
