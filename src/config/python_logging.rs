//! Python's logging.conf, the form of its `fileConfig`, as far as it can mean something here.
//!
//! Loggers, their levels, their handlers and `propagate` are worked out as Python does it; what comes out is, for each
//! handler, which levels of which log targets reach it. What has no meaning here is told with its line.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::log_outputs::{LogDestination, LogOutput, Rotation};
use super::types::{LogFormat, LogLevel};

/// The root of Python's loggers.
const ROOT: &str = "root";

/// What a logging.conf comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PythonLogging {
    /// Where lines go.
    pub outputs: Vec<LogOutput>,
    /// What of the file has no meaning here, each with its line.
    pub warnings: Vec<String>,
}

/// A section: its line, and its keys with their lines and values.
#[derive(Debug, Default)]
struct Section {
    line: usize,
    keys: BTreeMap<String, (usize, String)>,
}

impl Section {
    fn text(&self, key: &str) -> Option<&str> {
        self.keys.get(key).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    fn line(&self, key: &str) -> usize {
        self.keys.get(key).map_or(self.line, |(line, _)| *line)
    }

    fn names(&self, key: &str) -> Vec<String> {
        let names = self.text(key).unwrap_or_default().split(',').map(str::trim);
        names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }
}

struct Logger {
    /// Its name in the tree; empty for the root.
    name: String,
    level: Option<LogLevel>,
    handlers: Vec<String>,
    propagate: bool,
}

/// Reads the text of a logging.conf.
///
/// # Errors
/// What makes it no logging.conf, with its line.
pub fn read(path: &Path, text: &str) -> Result<PythonLogging, String> {
    let sections = sections(path, text)?;
    let mut reader = Reader { path, sections: &sections, warnings: Vec::new() };
    let loggers = reader.loggers()?;
    let mut outputs = Vec::new();
    for name in reader.list("handlers")? {
        if let Some((to, threshold, format)) = reader.handler(&name)? {
            outputs.push(output(&name, &loggers, to, threshold, format));
        }
    }
    if outputs.is_empty() {
        return Err(format!("{}: no handler of it can be used, so nothing would be logged", path.display()));
    }
    Ok(PythonLogging { outputs, warnings: reader.warnings })
}

fn sections(path: &Path, text: &str) -> Result<BTreeMap<String, Section>, String> {
    let mut sections: BTreeMap<String, Section> = BTreeMap::new();
    let mut current: Option<String> = None;
    for (line, text) in (1..).zip(text.lines()) {
        let trimmed = text.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            sections.entry(name.to_owned()).or_default().line = line;
            current = Some(name.to_owned());
            continue;
        }
        let wrong = |what: &str| format!("{}:{line}: {what}", path.display());
        let Some(section) = current.as_ref().and_then(|name| sections.get_mut(name)) else {
            return Err(wrong("this stands before the first section; a logging.conf begins with [loggers]"));
        };
        if text.starts_with([' ', '\t']) {
            // A value may go on in lines that are indented.
            if let Some((_, value)) = section.keys.values_mut().max_by_key(|(line, _)| *line) {
                value.push(' ');
                value.push_str(trimmed);
            }
            continue;
        }
        let Some((key, value)) = trimmed.split_once(['=', ':']) else {
            return Err(wrong("this is neither a [section] nor `key = value`"));
        };
        section.keys.insert(key.trim().to_lowercase(), (line, value.trim().to_owned()));
    }
    Ok(sections)
}

struct Reader<'a> {
    path: &'a Path,
    sections: &'a BTreeMap<String, Section>,
    warnings: Vec<String>,
}

impl<'a> Reader<'a> {
    fn warn(&mut self, line: usize, what: &str) {
        let mut text = String::new();
        // Writing into a String does not fail.
        let _ = write!(text, "{}:{line}: {what}", self.path.display());
        self.warnings.push(text);
    }

    fn list(&self, name: &str) -> Result<Vec<String>, String> {
        let path = self.path.display();
        let section =
            self.sections.get(name).ok_or_else(|| format!("{path}: the section [{name}] is missing"))?;
        Ok(section.names("keys"))
    }

    fn section(&self, kind: &str, name: &str) -> Result<&'a Section, String> {
        let path = self.path.display();
        self.sections.get(&format!("{kind}_{name}")).ok_or_else(|| {
            format!("{path}: [{kind}s] names {name}, and the section [{kind}_{name}] is missing")
        })
    }

    fn level(&mut self, section: &Section) -> Option<LogLevel> {
        let level = match section.text("level")?.to_uppercase().as_str() {
            "DEBUG" => LogLevel::Debug,
            "INFO" => LogLevel::Info,
            "WARNING" | "WARN" => LogLevel::Warn,
            "ERROR" | "CRITICAL" | "FATAL" => LogLevel::Error,
            "NOTSET" => return None,
            other => {
                let what = format!("{other} is no level; it is taken for INFO");
                self.warn(section.line("level"), &what);
                LogLevel::Info
            }
        };
        Some(level)
    }

    fn loggers(&mut self) -> Result<Vec<Logger>, String> {
        let mut loggers = Vec::new();
        for name in self.list("loggers")? {
            let section = self.section("logger", &name)?;
            let qualname = if name == ROOT { "" } else { section.text("qualname").unwrap_or(&name) };
            if !qualname.is_empty() && qualname.split('.').next() != Some("nodepool") {
                let what = format!("nothing logs as {qualname} here; the names begin with nodepool");
                self.warn(section.line("qualname"), &what);
            }
            let level = self.level(section);
            loggers.push(Logger {
                name: qualname.to_owned(),
                level,
                handlers: section.names("handlers"),
                propagate: section.text("propagate").is_none_or(|value| value != "0"),
            });
        }
        if !loggers.iter().any(|logger| logger.name.is_empty()) {
            return Err(format!("{}: [loggers] does not name root", self.path.display()));
        }
        Ok(loggers)
    }

    fn handler(
        &mut self,
        name: &str,
    ) -> Result<Option<(LogDestination, Option<LogLevel>, LogFormat)>, String> {
        let section = self.section("handler", name)?;
        let class = section.text("class").unwrap_or_default();
        let args = arguments(section.text("args").unwrap_or("()"));
        let Some(to) = self.destination(section, class, &args) else { return Ok(None) };
        let level = self.level(section);
        Ok(Some((to, level, self.format(section)?)))
    }

    fn destination(&mut self, section: &Section, class: &str, args: &[Value]) -> Option<LogDestination> {
        let line = section.line("args");
        let kind = class.rsplit('.').next().unwrap_or_default();
        let number = |place: usize| args.get(place).and_then(Value::number);
        if kind == "StreamHandler" {
            let stdout = matches!(args.first(), Some(Value::Name(name)) if name == "sys.stdout");
            return Some(if stdout { LogDestination::Stdout } else { LogDestination::Stderr });
        }
        let (rotation, keep) = match kind {
            "FileHandler" | "WatchedFileHandler" => (Rotation::Never, 0),
            "RotatingFileHandler" => match number(2) {
                None | Some(0) => (Rotation::Never, 0),
                Some(most) => (Rotation::Size(most), number(3).unwrap_or(0)),
            },
            "TimedRotatingFileHandler" => {
                let when = args.get(1).and_then(Value::text).unwrap_or("h").to_uppercase();
                let rotation =
                    if matches!(when.as_str(), "S" | "M" | "H") { Rotation::Hourly } else { Rotation::Daily };
                if !matches!(when.as_str(), "H" | "D" | "MIDNIGHT")
                    || number(2).is_some_and(|interval| interval != 1)
                {
                    self.warn(line, "files are set aside each hour or at midnight; the nearer one is taken");
                }
                (rotation, number(3).unwrap_or(0))
            }
            _ => {
                let what = format!("{class} is not known here, and left out; the journal and files are");
                self.warn(section.line("class"), &what);
                return None;
            }
        };
        let Some(path) = args.first().and_then(Value::text) else {
            self.warn(line, "the first of the args is no path, so this handler is left out");
            return None;
        };
        // A count of 0 means in Python that all are kept.
        let keep = u32::try_from(keep).unwrap_or(u32::MAX);
        let keep = if keep == 0 { u32::MAX } else { keep };
        Some(LogDestination::File { path: path.into(), rotation, keep })
    }

    /// Lines have one of two forms here: a formatter whose class speaks of JSON asks for the other one.
    fn format(&mut self, handler: &Section) -> Result<LogFormat, String> {
        let Some(name) = handler.text("formatter") else { return Ok(LogFormat::Text) };
        let section = self.section("formatter", name)?;
        let class = section.text("class").unwrap_or_default().to_lowercase();
        if class.contains("json") || class.contains("logstash") {
            return Ok(LogFormat::Json);
        }
        if section.text("format").is_some() {
            let what = format!("the form of lines is fixed, so formatter {name} has no effect");
            self.warn(section.line("format"), &what);
        }
        Ok(LogFormat::Text)
    }
}

/// What reaches one handler.
fn output(
    name: &str,
    loggers: &[Logger],
    to: LogDestination,
    own: Option<LogLevel>,
    format: LogFormat,
) -> LogOutput {
    let reaching = |logger: &Logger| -> Option<LogLevel> {
        if !reaches(name, loggers, logger) {
            return None;
        }
        // The more urgent of the two levels; Python's own one where none is set is WARNING.
        let level = chain(loggers, logger).find_map(|logger| logger.level).unwrap_or(LogLevel::Warn);
        Some(own.map_or(level, |own| level.min(own)))
    };
    let mut output = LogOutput { to, format, level: None, levels: BTreeMap::new() };
    for logger in loggers {
        if logger.name.is_empty() {
            output.level = reaching(logger);
        } else {
            output.levels.insert(logger.name.clone(), reaching(logger));
        }
    }
    output
}

/// Whether what a logger says reaches this handler.
fn reaches(handler: &str, loggers: &[Logger], from: &Logger) -> bool {
    for logger in chain(loggers, from) {
        if logger.handlers.iter().any(|name| name == handler) {
            return true;
        }
        if !logger.propagate {
            return false;
        }
    }
    false
}

/// A logger and those above it that the file names, the root last.
fn chain<'a>(loggers: &'a [Logger], from: &'a Logger) -> impl Iterator<Item = &'a Logger> {
    let above = |candidate: &&Logger| {
        candidate.name.is_empty()
            || candidate.name == from.name
            || from.name.strip_prefix(&candidate.name).is_some_and(|rest| rest.starts_with('.'))
    };
    let mut chain: Vec<&Logger> = loggers.iter().filter(above).collect();
    chain.sort_by_key(|logger| std::cmp::Reverse(logger.name.len()));
    chain.into_iter()
}

/// An argument of a handler.
#[derive(Debug, PartialEq, Eq)]
enum Value {
    Text(String),
    Number(u64),
    Name(String),
}

impl Value {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Number(_) | Self::Name(_) => None,
        }
    }

    const fn number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(_) | Self::Name(_) => None,
        }
    }
}

/// The items of a Python tuple: texts, numbers and products of numbers; whatever else there is counts as a name.
fn arguments(tuple: &str) -> Vec<Value> {
    let inner = tuple.trim().trim_start_matches('(').trim_end_matches(')');
    let mut items = vec![String::new()];
    let mut quote = None;
    for letter in inner.chars() {
        match (quote, letter) {
            (None, ',') => items.push(String::new()),
            (None, '\'' | '"') => quote = Some(letter),
            (Some(open), letter) if letter == open => quote = None,
            _ => {}
        }
        if (letter != ',' || quote.is_some())
            && let Some(item) = items.last_mut()
        {
            item.push(letter);
        }
    }
    items.iter().map(|item| item.trim()).filter(|item| !item.is_empty()).map(value).collect()
}

fn value(item: &str) -> Value {
    for quote in ['\'', '"'] {
        if let Some(text) = item.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return Value::Text(text.to_owned());
        }
    }
    // Keyword arguments are rare in these files, and in the order of the positions.
    let item = item.split_once('=').map_or(item, |(_, value)| value.trim());
    let factors = item.split('*').map(|factor| factor.trim().parse::<u64>());
    match factors.collect::<Result<Vec<u64>, _>>() {
        Ok(factors) => Value::Number(factors.into_iter().fold(1, u64::saturating_mul)),
        Err(_) => Value::Name(item.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shape of the file at Wikimedia.
    const WIKIMEDIA: &str = "\
[loggers]
keys=root,requests,nodepool,image

[handlers]
keys=debug,normal,image,syslog

[formatters]
keys=simple

[logger_root]
level=WARNING
handlers=normal

[logger_requests]
level=WARNING
handlers=debug,normal
qualname=requests

[logger_nodepool]
level=DEBUG
handlers=debug,normal
qualname=nodepool

[logger_image]
level=INFO
handlers=image
qualname=nodepool.image.build
propagate=0

[handler_debug]
level=DEBUG
class=logging.handlers.TimedRotatingFileHandler
formatter=simple
args=('/var/log/nodepool/debug.log', 'H', 1, 96,)

[handler_normal]
level=INFO
class=logging.handlers.TimedRotatingFileHandler
formatter=simple
args=('/var/log/nodepool/nodepool.log', 'midnight', 1, 15,)

[handler_image]
level=INFO
class=handlers.TimedRotatingFileHandler
formatter=simple
args=('/var/log/nodepool/image.log', 'midnight', 1, 15,)

[handler_syslog]
level=INFO
class=handlers.SysLogHandler
args=('/dev/log', handlers.SysLogHandler.LOG_DAEMON)

[formatter_simple]
format=%(asctime)s %(levelname)s %(name)s: %(message)s
datefmt=
";

    fn read_text(text: &str) -> PythonLogging {
        read(Path::new("logging.conf"), text).unwrap()
    }

    fn levels(output: &LogOutput) -> String {
        let mut text = format!("{:?}", output.level);
        for (target, level) in &output.levels {
            write!(text, " {target}={level:?}").unwrap();
        }
        text.replace("Some(", "").replace(')', "")
    }

    #[test]
    fn the_file_of_wikimedia_means_what_it_meant() {
        let found = read_text(WIKIMEDIA);
        let [debug, normal, image] = found.outputs.as_slice() else { panic!("{found:?}") };
        let file = |path: &str, rotation, keep| LogDestination::File { path: path.into(), rotation, keep };
        assert_eq!(debug.to, file("/var/log/nodepool/debug.log", Rotation::Hourly, 96));
        assert_eq!(normal.to, file("/var/log/nodepool/nodepool.log", Rotation::Daily, 15));
        assert_eq!(image.to, file("/var/log/nodepool/image.log", Rotation::Daily, 15));
        assert_eq!(levels(debug), "None nodepool=Debug nodepool.image.build=None requests=Warn");
        assert_eq!(levels(normal), "Warn nodepool=Info nodepool.image.build=None requests=Warn");
        assert_eq!(levels(image), "None nodepool=None nodepool.image.build=Info requests=None");
        let warnings = found.warnings.join("\n");
        for (line, what) in
            [(14, "nothing logs as requests"), (49, "SysLogHandler"), (53, "formatter simple")]
        {
            let told = found.warnings.iter().any(|warning| warning.contains(what));
            assert!(told, "{line}: {what}: {warnings}");
        }
        assert!(found.warnings.iter().all(|warning| warning.starts_with("logging.conf:")), "{warnings}");
    }

    #[test]
    fn other_handlers_and_forms() {
        let found = read_text(
            "[loggers]\nkeys: root\n[handlers]\nkeys: a, b, c\n[formatters]\nkeys: j\n\
             [logger_root]\nlevel: NOTSET\nhandlers: a, b\n\
             [handler_a]\nclass: StreamHandler\nargs: (sys.stdout,)\nformatter: j\n\
             [handler_b]\nclass: handlers.RotatingFileHandler\nargs: ('b.log', 'a',\n  10*1024*1024, 5)\nlevel: ERROR\n\
             [handler_c]\nclass: FileHandler\nargs: (\"a, b.log\",)\n\
             [formatter_j]\nclass: pythonjsonlogger.jsonlogger.JsonFormatter\n",
        );
        let [a, b, c] = found.outputs.as_slice() else { panic!("{found:?}") };
        assert_eq!(
            (&a.to, a.format, a.level),
            (&LogDestination::Stdout, LogFormat::Json, Some(LogLevel::Warn))
        );
        let file = |path: &str, rotation, keep| LogDestination::File { path: path.into(), rotation, keep };
        assert_eq!((&b.to, b.level), (&file("b.log", Rotation::Size(10_485_760), 5), Some(LogLevel::Error)));
        assert_eq!((&c.to, c.level), (&file("a, b.log", Rotation::Never, u32::MAX), None));
        assert_eq!(found.warnings, Vec::<String>::new());
    }

    #[test]
    fn what_is_no_logging_conf_says_where() {
        for (text, what) in [
            ("level=INFO\n", "logging.conf:1: this stands before the first section"),
            ("[loggers]\nkeys=root\nnonsense\n", "logging.conf:3: this is neither"),
            ("[handlers]\nkeys=a\n", "logging.conf: the section [loggers] is missing"),
            ("[loggers]\nkeys=root\n", "[loggers] names root, and the section [logger_root] is missing"),
        ] {
            let error = read(Path::new("logging.conf"), text).unwrap_err();
            assert!(error.contains(what), "{error}");
        }
    }
}
