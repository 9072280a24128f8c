//! Turns a probe's lines, and its silence, into inputs.

use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::sync::mpsc::Sender;
use tokio::time;
use tokio_util::sync::CancellationToken;

use super::lines::{Line, Lines};
use super::name;
use crate::probe::ProbeMessage;
use crate::sample::{Input, SourceReport};

/// So many lines that cannot be read, one after the other, make a probe that cannot be believed.
const GARBAGE: u64 = 3;

/// Why reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The probe has closed its output.
    Eof,
    /// There is nothing of its kind here, as it said.
    Absent,
    /// It has been silent for as long as the caller had patience; reading can go on.
    Blocked,
    /// The agent stops.
    Shutdown,
    /// Nobody takes the inputs any more.
    Closed,
}

/// What was last said of this source, so that it is said once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Nothing,
    Seeing,
    Silent,
    Garbage,
}

/// The reading half of the source.
#[derive(Debug)]
pub struct Reading<R> {
    lines: Lines<R>,
    silence: Duration,
    /// How long the next answer may take; at first longer than `silence`.
    patience: Duration,
    said: Said,
    /// Lines that could not be read, since the last that could.
    garbage: u64,
    last_fault: Option<String>,
    answered: bool,
}

impl<R: AsyncRead + Unpin> Reading<R> {
    /// Reads lines; the first answer may take `start`, each later one `silence`.
    pub fn new(reader: R, silence: Duration, start: Duration) -> Self {
        Self {
            lines: Lines::new(reader),
            silence,
            patience: start,
            said: Said::Nothing,
            garbage: 0,
            last_fault: None,
            answered: false,
        }
    }

    /// Whether GPUs were read since this was last asked.
    pub fn take_answered(&mut self) -> bool {
        std::mem::take(&mut self.answered)
    }

    /// The last fault the probe told, e.g. a call that has not returned.
    pub fn last_fault(&self) -> Option<&str> {
        self.last_fault.as_deref()
    }

    /// Reads on, until it ends or has been silent for `blocked` after being called silent.
    pub async fn run(
        &mut self,
        out: &Sender<Input>,
        shutdown: &CancellationToken,
        blocked: Option<Duration>,
    ) -> End {
        tokio::select! {
            () = shutdown.cancelled() => End::Shutdown,
            end = self.read(out, blocked) => end,
        }
    }

    async fn read(&mut self, out: &Sender<Input>, blocked: Option<Duration>) -> End {
        let alarm = time::sleep(self.until_alarm(blocked));
        tokio::pin!(alarm);
        loop {
            let took = tokio::select! {
                // Lines first: what has come in time while the engine was busy is no silence.
                biased;
                line = self.lines.next() => match line {
                    Ok(Line::Text(line)) => Took::of(line),
                    Ok(Line::Overlong) => Took::Garbage("a line without end".to_owned()),
                    Ok(Line::End) => return End::Eof,
                    Err(error) => {
                        self.last_fault = Some(format!("its output could not be read: {error}"));
                        return End::Eof;
                    }
                },
                () = &mut alarm => {
                    if self.said == Said::Silent {
                        return End::Blocked;
                    }
                    if self.tell_silence(out).await.is_err() {
                        return End::Closed;
                    }
                    alarm.set(time::sleep(self.until_alarm(blocked)));
                    continue;
                }
            };
            let (answer, absent) = (took.is_answer(), took.is_absent());
            if self.take(took, out).await.is_err() {
                return End::Closed;
            }
            if absent {
                return End::Absent;
            }
            if answer {
                alarm.set(time::sleep(self.silence));
            }
        }
    }

    /// Time until silence is told, or when it has been, until the caller's patience ends.
    fn until_alarm(&self, blocked: Option<Duration>) -> Duration {
        const FOR_EVER: Duration = Duration::from_secs(365 * 86_400);
        if self.said == Said::Silent { blocked.unwrap_or(FOR_EVER) } else { self.patience }
    }

    async fn take(&mut self, took: Took, out: &Sender<Input>) -> Result<(), Gone> {
        match took {
            Took::Answer(input) => {
                self.garbage = 0;
                self.answered = true;
                self.patience = self.silence;
                // Whatever had failed or was blocked before has been survived.
                self.last_fault = None;
                if self.said != Said::Seeing {
                    self.said = Said::Seeing;
                    tell(out, Input::Source(name(), SourceReport::Seeing)).await?;
                }
                tell(out, input).await
            }
            Took::Told(input) => tell(out, input).await,
            Took::Absent(reason) => {
                tell(out, Input::Source(name(), SourceReport::Absent(reason))).await
            }
            Took::Fault(fault) => {
                tracing::warn!(fault, "the probe reports a fault");
                self.last_fault = Some(fault);
                Ok(())
            }
            Took::Hello => Ok(()),
            Took::Garbage(problem) => self.take_garbage(&problem, out).await,
        }
    }

    async fn take_garbage(&mut self, problem: &str, out: &Sender<Input>) -> Result<(), Gone> {
        self.garbage += 1;
        if self.garbage < GARBAGE || self.said == Said::Garbage {
            return Ok(());
        }
        self.said = Said::Garbage;
        let reason =
            format!("{} lines of the probe could not be read, the last: {problem}", self.garbage);
        tell(out, Input::Source(name(), SourceReport::Failing(reason))).await
    }

    async fn tell_silence(&mut self, out: &Sender<Input>) -> Result<(), Gone> {
        self.said = Said::Silent;
        let which = match &self.last_fault {
            Some(fault) => fault.as_str(),
            None => "a call may be blocked",
        };
        let seconds = self.patience.as_secs_f64();
        let reason = format!("the driver has not answered for {seconds} s: {which}");
        tell(out, Input::Source(name(), SourceReport::Failing(reason))).await
    }
}

/// Nobody takes the inputs any more.
struct Gone;

async fn tell(out: &Sender<Input>, input: Input) -> Result<(), Gone> {
    out.send(input).await.map_err(|_| Gone)
}

/// What a line was.
enum Took {
    /// The driver answered.
    Answer(Input),
    /// The driver told something by itself; that is no proof that it answers.
    Told(Input),
    /// It is there.
    Hello,
    Absent(String),
    Fault(String),
    Garbage(String),
}

impl Took {
    fn of(line: &[u8]) -> Self {
        match serde_json::from_slice(line) {
            Ok(ProbeMessage::Gpus(reading)) => Self::Answer(Input::Gpus(reading)),
            Ok(ProbeMessage::Xid(xid)) => Self::Told(Input::Xid(xid)),
            Ok(ProbeMessage::Hello { .. }) => Self::Hello,
            Ok(ProbeMessage::Absent { reason }) => Self::Absent(reason),
            Ok(ProbeMessage::Fault { call, gpu: Some(gpu), error }) => {
                Self::Fault(format!("{call} on GPU {gpu}: {error}"))
            }
            Ok(ProbeMessage::Fault { call, gpu: None, error }) => {
                Self::Fault(format!("{call}: {error}"))
            }
            Err(problem) => Self::Garbage(problem.to_string()),
        }
    }

    fn is_answer(&self) -> bool {
        matches!(self, Self::Answer(_))
    }

    fn is_absent(&self) -> bool {
        matches!(self, Self::Absent(_))
    }
}
