//! What is printed for shells, readers and editors: completions, manual pages, the schema of the config.

use std::path::Path;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::exits::presenced_says;

/// What a program says on standard error about a text; `None` where it is not installed.
async fn judged(program: &str, args: &[&str], text: &str) -> Option<String> {
    let mut command = Command::new(program);
    command.args(args).env("LC_ALL", "C.UTF-8").env("MANWIDTH", "80");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        println!("{program} is not here: not tried");
        return None;
    };
    // One that stops reading has something to say.
    let _ = child.stdin.take().unwrap().write_all(text.as_bytes()).await;
    let output = child.wait_with_output().await.unwrap();
    let mut said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() && said.is_empty() {
        said = output.status.to_string();
    }
    Some(said)
}

#[tokio::test]
async fn each_shell_can_read_its_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let outcome = presenced_says(&["completions", shell]).await;
        assert_eq!(outcome.code, Some(0), "{shell}: {}", outcome.stderr);
        for word in ["check", "deny-warnings", "sandbox", "completions"] {
            assert!(outcome.stdout.contains(word), "{shell} lacks {word}");
        }
        assert!(!outcome.stdout.contains("epoch"), "{shell}: hidden options stay hidden");
        let said = match shell {
            "bash" | "zsh" => judged(shell, &["-n"], &outcome.stdout).await,
            "fish" => judged(shell, &["--no-execute"], &outcome.stdout).await,
            "elvish" => judged(shell, &["-compileonly", "/dev/stdin"], &outcome.stdout).await,
            _ => None,
        };
        assert_eq!(said.unwrap_or_default(), "", "{shell}");
    }
    let outcome = presenced_says(&["completions", "tcsh"]).await;
    assert_eq!(outcome.code, Some(2), "{}", outcome.stdout);
}

#[tokio::test]
async fn bash_completes_commands_and_options() {
    let script = presenced_says(&["completions", "bash"]).await.stdout;
    let complete = |words: &str, at: usize| {
        let ask = format!(
            "{script}\nCOMP_WORDS=({words}); COMP_CWORD={at}; _presenced presenced \"${{COMP_WORDS[{at}]}}\"\n\
             printf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
        );
        async move {
            let output = Command::new("bash").args(["-c", &ask]).output().await.unwrap();
            String::from_utf8(output.stdout).unwrap()
        }
    };
    assert_eq!(complete("presenced ch", 1).await, "check\n");
    assert_eq!(complete("presenced check --no", 2).await, "--no-environment\n");
}

#[tokio::test]
async fn manual_pages_render_without_a_warning_and_name_each_other() {
    let whole = presenced_says(&["man"]).await;
    assert_eq!(whole.code, Some(0), "{}", whole.stderr);
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("share/man1");
    let outcome = presenced_says(&["man", "--dir", pages.to_str().unwrap()]).await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), ""), "{}", outcome.stderr);
    assert_eq!(std::fs::read_to_string(pages.join("presenced.1")).unwrap(), whole.stdout);

    let mut count = 0;
    for entry in std::fs::read_dir(&pages).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        // As lintian looks at the pages of a package.
        let said = judged("man", &["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", "-"], &text).await;
        assert_eq!(said.unwrap_or_default(), "", "{}", path.display());
        let said = judged("mandoc", &["-T", "lint", "-W", "error"], &text).await;
        assert_eq!(said.unwrap_or_default(), "", "{}", path.display());
        if let Some(command) = path.file_stem().unwrap().to_str().unwrap().strip_prefix("presenced-") {
            assert!(whole.stdout.contains(&format!(".SS \"presenced {command}\"")), "{command}");
        }
        count += 1;
    }
    assert!(count > 9, "{count}");
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_to_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let taken = dir.path().join("man");
    std::fs::write(&taken, "").unwrap();
    let outcome = presenced_says(&["man", "--dir", taken.to_str().unwrap()]).await;
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("man"), "{}", outcome.stderr);
}

#[tokio::test]
async fn the_manual_tells_the_exit_codes_that_the_readme_tells() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let table = readme.split("| exit code | means |\n").nth(1).unwrap();
    let rows = table.lines().skip(1).take_while(|line| line.starts_with('|'));
    let codes: Vec<&str> = rows.map(|row| row.split('|').nth(1).unwrap().trim()).collect();
    let manual = presenced_says(&["man"]).await.stdout;
    let section = manual.split(".SH \"EXIT STATUS\"").nth(1).unwrap().split("\n.SH").next().unwrap();
    let told: Vec<&str> =
        section.split("\\fB").skip(1).map(|term| term.split("\\fR").next().unwrap()).collect();
    assert_eq!(told, codes);
}

#[tokio::test]
async fn the_schema_is_the_one_that_the_example_names() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let example = std::fs::read_to_string(root.join("config.example.toml")).unwrap();
    let named = example.lines().next().unwrap().strip_prefix("#:schema ./").unwrap();
    let outcome = presenced_says(&["schema"]).await;
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(outcome.stdout, std::fs::read_to_string(root.join(named)).unwrap());
    let schema: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
}
