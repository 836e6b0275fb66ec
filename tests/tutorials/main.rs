//! The tutorials are executed as a reader executes them, and every command that the documentation shows
//! is one that the programs know.
#![forbid(unsafe_code)]

mod commands;
mod expected;
mod markdown;
mod script;

use std::fs;
use std::path::PathBuf;

use crate::markdown::{Block, blocks};
use crate::script::Walk;

fn docs(name: &str) -> PathBuf {
    script::repository().join("docs").join(name)
}

/// The tutorials; each has ports of its own.
const TUTORIALS: [&str; 3] = ["dapp", "auditor", "operator"];

/// Walks through a tutorial, and compares what it printed.
fn walk(name: &str) {
    let path = docs("tutorials").join(format!("{name}.md"));
    let text = fs::read_to_string(&path).unwrap();
    let blocks = blocks(&text);
    let shells = blocks
        .iter()
        .filter(|block| block.language == "sh" && block.title.is_none())
        .count();
    assert!(shells >= 5, "{name}: {shells} blocks of commands");
    let number = TUTORIALS.iter().position(|known| *known == name).unwrap();
    let walk = Walk::new(u16::try_from(number).unwrap(), &blocks);
    let printed = walk.run(name);
    assert_eq!(printed.len(), shells);
    let mut wrong = Vec::new();
    for (block, printed) in steps(name, &blocks).into_iter().zip(printed) {
        let (wanted, at) = block;
        let wanted = walk.of_this_machine(wanted);
        if let Err(reason) = expected::compare(&wanted, &printed) {
            wrong.push(format!(
                "{name}.md line {at}: {reason}\n--- shown\n{wanted}--- printed\n{printed}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// What each block of commands shows as its output, and its line: nothing where it shows nothing.
fn steps<'a>(name: &str, blocks: &'a [Block]) -> Vec<(&'a str, usize)> {
    let mut steps = Vec::new();
    let mut shown = false;
    for block in blocks {
        let (at, language) = (block.line, block.language.as_str());
        match (language, &block.title) {
            // A file that the reader writes.
            (_, Some(_)) => shown = true,
            ("sh", None) => {
                steps.push(("", at));
                shown = false;
            }
            ("text", None) => {
                assert!(!shown, "{name}.md line {at}: output of no command");
                steps.last_mut().unwrap().0 = &block.text;
                shown = true;
            }
            _ => panic!("{name}.md line {at}: `{language}` is neither run nor written to a file"),
        }
    }
    steps
}

#[test]
fn every_tutorial_is_walked_through() {
    let files = fs::read_dir(docs("tutorials")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name != "README.md").collect();
    names.sort();
    let mut known = TUTORIALS.map(|name| format!("{name}.md"));
    known.sort();
    assert_eq!(names, known);
}

#[test]
fn a_dapp_developers_ten_minutes() {
    walk("dapp");
}

#[test]
fn an_auditors_ten_minutes() {
    walk("auditor");
}

#[test]
fn an_operators_ten_minutes() {
    walk("operator");
}
