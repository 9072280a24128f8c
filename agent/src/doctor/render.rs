//! Checks as text for people and as JSON for scripts. Pure.

use super::{Check, Verdict};

/// Longest line.
const WIDTH: usize = 100;

/// Text in areas, a line or more a check, at most 100 columns wide.
pub fn render(checks: &[Check]) -> String {
    let mut text = String::new();
    let mut area = None;
    for check in checks {
        if area != Some(&check.area) {
            if area.is_some() {
                text.push('\n');
            }
            text.push_str(&check.area);
            text.push('\n');
            area = Some(&check.area);
        }
        wrap(&mut text, &format!("  {} ", mark(check.verdict)), &check.finding);
        if let Some(remedy) = &check.remedy {
            wrap(&mut text, "      → ", remedy);
        }
    }
    let bad = checks.iter().filter(|check| check.verdict == Verdict::Bad).count();
    text.push_str(&match bad {
        0 => "\nNothing to mend.\n".to_owned(),
        1 => "\n1 thing to mend.\n".to_owned(),
        bad => format!("\n{bad} things to mend.\n"),
    });
    text
}

/// A JSON array, a check an element.
pub fn render_json(checks: &[Check]) -> serde_json::Result<String> {
    serde_json::to_string_pretty(checks)
}

fn mark(verdict: Verdict) -> char {
    match verdict {
        Verdict::Good => '✓',
        Verdict::Bad => '✗',
        Verdict::Skipped => '–',
    }
}

/// Writes words after `start`, further lines set in below the first. A word that is too long for a
/// line stands alone in pieces.
fn wrap(text: &mut String, start: &str, words: &str) {
    let indent = " ".repeat(start.chars().count());
    let room = WIDTH - indent.len();
    let mut line = String::new();
    let mut lines = Vec::new();
    for word in words.split_whitespace() {
        let joined = line.chars().count() + 1 + word.chars().count();
        if !line.is_empty() && joined > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        // Other machines' words may be of any kind.
        for letter in word.chars().filter(|letter| !letter.is_control()) {
            if line.chars().count() == room {
                lines.push(std::mem::take(&mut line));
            }
            line.push(letter);
        }
    }
    lines.push(line);
    for (at, line) in lines.iter().enumerate() {
        text.push_str(if at == 0 { start } else { &indent });
        text.push_str(line);
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Vec<Check> {
        vec![
            Check::good("gpu", "driver 580.95.05 answers: 8 GPUs"),
            Check::bad(
                "gpu",
                "this is not the host's PID namespace, so processes on GPUs have no names",
                "`hostPID: true` in the pod, `--pid=host` for docker, so that the numbers the driver \
                 gives are those of /proc here",
            ),
            Check::skipped("triton", "no server is configured"),
        ]
    }

    #[test]
    fn text_for_people() {
        insta::assert_snapshot!(render(&some()), @r"
        gpu
          ✓ driver 580.95.05 answers: 8 GPUs
          ✗ this is not the host's PID namespace, so processes on GPUs have no names
              → `hostPID: true` in the pod, `--pid=host` for docker, so that the numbers the driver gives
                are those of /proc here

        triton
          – no server is configured

        1 thing to mend.
        ");
    }

    #[test]
    fn json_for_scripts() {
        insta::assert_snapshot!(render_json(&some()[1..2]).unwrap(), @r#"
        [
          {
            "area": "gpu",
            "verdict": "bad",
            "finding": "this is not the host's PID namespace, so processes on GPUs have no names",
            "remedy": "`hostPID: true` in the pod, `--pid=host` for docker, so that the numbers the driver gives are those of /proc here"
          }
        ]
        "#);
    }

    #[test]
    fn nothing_is_wider_than_the_screen_or_moves_its_cursor() {
        let checks = [Check::bad("x", "y".repeat(300), "\u{1b}[31m a ".repeat(100))];
        let text = render(&checks);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(!text.contains('\u{1b}'));
    }
}
