//! Every command that the documentation shows is one that the programs know, with flags that it takes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use proofmark_tests::service::{program, run};

use crate::markdown::{blocks, spans};
use crate::script::repository;

/// What programs say of themselves, by command.
#[derive(Default)]
struct Helps(BTreeMap<Vec<String>, String>);

impl Helps {
    fn of(&mut self, command: &[String]) -> &str {
        self.0.entry(command.to_vec()).or_insert_with(|| {
            let asked = run(Command::new(program(&command[0]))
                .args(&command[1..])
                .arg("--help"));
            assert_eq!(asked.exit, 0, "{command:?}: {asked:?}");
            asked.stdout
        })
    }

    /// The subcommands of a command.
    fn subcommands(&mut self, command: &[String]) -> Vec<String> {
        self.of(command)
            .lines()
            .skip_while(|line| *line != "Commands:")
            .skip(1)
            .take_while(|line| line.starts_with("  "))
            .filter(|line| !line.starts_with("   "))
            .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
            .collect()
    }

    /// The options that a command's help names.
    fn options(&mut self, command: &[String]) -> Vec<String> {
        let is_part = |c: char| !(c.is_ascii_alphanumeric() || c == '-');
        let help = self.of(command).split(is_part);
        help.filter(|word| word.starts_with("--"))
            .map(str::to_owned)
            .collect()
    }
}

/// The simple commands of a shell's text, as words; quotes and brackets are taken away.
fn simple_commands(text: &str) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for line in text.replace("\\\n", " ").lines() {
        let line = line.split(" #").next().unwrap_or_default();
        if line.starts_with('#') {
            continue;
        }
        for part in line
            .split([';', '&', '(', ')'])
            .flat_map(|part| part.split(" | "))
        {
            let mut words: Vec<String> = part.split_whitespace().map(str::to_owned).collect();
            // What a format calls `"proofmark …"` is no command, so the first word stays as it is.
            for word in words.iter_mut().skip(1) {
                *word = word.trim_matches(['"', '\'', '[', ']', ',']).to_owned();
            }
            words.retain(|word| !word.is_empty() && word != "{");
            all.extend((!words.is_empty()).then_some(words));
        }
    }
    all
}

/// The program that a word names.
fn named(word: &str) -> Option<&'static str> {
    match word.strip_prefix("target/release/").unwrap_or(word) {
        "proofmark" | "$P" => Some("proofmark"),
        "proofmark-verify" => Some("proofmark-verify"),
        _ => None,
    }
}

/// Checks a command; whether it is one of ours.
fn check(helps: &mut Helps, words: &[String]) -> Result<bool, String> {
    let Some(program) = words.first().and_then(|word| named(word)) else {
        return Ok(false);
    };
    let mut command = vec![program.to_owned()];
    let mut rest = words[1..].iter().peekable();
    loop {
        let subcommands = helps.subcommands(&command);
        let Some(next) = rest.peek() else { break };
        if subcommands.is_empty() || next.starts_with('-') || **next == "…" {
            break;
        }
        // `attest|audit` names both.
        for name in next.split('|') {
            if !subcommands.iter().any(|known| known == name) {
                return Err(format!("{} has no subcommand {name}", command.join(" ")));
            }
        }
        command.push(next.split('|').next().unwrap_or_default().to_owned());
        rest.next();
    }
    let options = helps.options(&command);
    for word in rest.filter(|word| word.starts_with("--")) {
        for word in word.split('|') {
            let option = word.split('=').next().unwrap_or_default();
            if option != "--" && !options.iter().any(|known| known == option) {
                return Err(format!("{} has no option {option}", command.join(" ")));
            }
        }
    }
    Ok(true)
}

fn documents(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // Results say what was done on a day.
        if path.is_dir() && !path.ends_with("results") {
            documents(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "md") {
            found.push(path);
        }
    }
}

#[test]
fn documents_show_commands_and_options_that_exist() {
    let mut found = vec![repository().join("README.md")];
    documents(&repository().join("docs"), &mut found);
    let mut helps = Helps::default();
    let mut wrong = Vec::new();
    let mut checked: BTreeMap<String, usize> = BTreeMap::new();
    for path in found {
        let text = fs::read_to_string(&path).unwrap();
        let name = path
            .strip_prefix(repository())
            .unwrap()
            .display()
            .to_string();
        let shells = blocks(&text);
        let shells = shells.iter().filter(|block| block.language == "sh");
        let shown = shells.map(|block| block.text.clone()).chain(spans(&text));
        for words in shown.flat_map(|text| simple_commands(&text)) {
            match check(&mut helps, &words) {
                Ok(ours) => *checked.entry(name.clone()).or_default() += usize::from(ours),
                Err(reason) => wrong.push(format!("{name}: {reason}: {}", words.join(" "))),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (name, least) in [
        ("README.md", 10),
        ("docs/guides/dapp.md", 5),
        ("docs/guides/auditor.md", 4),
        ("docs/guides/operator.md", 10),
        ("docs/tutorials/operator.md", 15),
    ] {
        assert!(checked[name] >= least, "{name}: {} commands", checked[name]);
    }
}

#[test]
fn what_does_not_exist_is_noticed() {
    let mut helps = Helps::default();
    let mut ask = |text: &str| {
        simple_commands(text)
            .iter()
            .map(|words| check(&mut helps, words))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        ask("proofmark log mirror \\\n  --url X && $P setup d --backend plain | tee x"),
        [Ok(true), Ok(true), Ok(false)]
    );
    for text in [
        "proofmark frobnicate",
        "proofmark log frobnicate",
        "proofmark setup d --frob x",
        "target/release/proofmark-verify r --frob=x",
    ] {
        assert!(ask(text)[0].is_err(), "{text}");
    }
}
