//! The scripts, which Redis runs without interruption. They decide nothing about a job: they write
//! what `Record::update` has decided, if the record is still the one that was read.

use std::sync::LazyLock;

use redis::{Cmd, Script};

type Source = LazyLock<Script>;

pub(crate) static READ: Source = LazyLock::new(|| Script::new(include_str!("scripts/read.lua")));
pub(crate) static WRITE: Source = LazyLock::new(|| Script::new(include_str!("scripts/write.lua")));
pub(crate) static DELETE: Source =
    LazyLock::new(|| Script::new(include_str!("scripts/delete.lua")));
pub(crate) static ENTRIES: Source =
    LazyLock::new(|| Script::new(include_str!("scripts/entries.lua")));
pub(crate) static LIST: Source = LazyLock::new(|| Script::new(include_str!("scripts/list.lua")));

/// Returns the command that runs a script which the server has.
pub(crate) fn run(script: &Script, keys: &[String]) -> Cmd {
    let mut command = redis::cmd("EVALSHA");
    command.arg(script.get_hash()).arg(keys.len()).arg(keys);
    command
}

/// Returns the commands that give the server all scripts.
pub(crate) fn load() -> impl Iterator<Item = Cmd> {
    let texts = [
        include_str!("scripts/read.lua"),
        include_str!("scripts/write.lua"),
        include_str!("scripts/delete.lua"),
        include_str!("scripts/entries.lua"),
        include_str!("scripts/list.lua"),
    ];
    texts.into_iter().map(|text| {
        let mut load = redis::cmd("SCRIPT");
        load.arg("LOAD").arg(text);
        load
    })
}
