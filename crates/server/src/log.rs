//! The log, on standard error.
//!
//! **Invariant:** only our own code says more than warnings. Libraries, asked for more, would write down what they
//! carry: the parameters of queries, with people's addresses and words in them.

use std::io::IsTerminal as _;

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use crate::cli::{LogFormat, Logging};

/// From here on.
pub(crate) fn start(logging: &Logging) {
    let ours = LevelFilter::from_level(logging.log);
    let theirs = ours.min(LevelFilter::from_level(Level::WARN));
    let targets = Targets::new()
        .with_target("lockstep_server", ours)
        .with_default(theirs);
    // A file or a journal keeps the codes for colours as noise.
    let seen = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(seen);
    let lines = match logging.log_format {
        LogFormat::Human => lines.boxed(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .boxed(),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(targets))
        .init();
}
