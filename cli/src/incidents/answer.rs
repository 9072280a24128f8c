//! What became of an incident after a person's word, in one line.

use gpuwarden_proto::incident::Incident;

use crate::text::{Paint, WIDTH, clean, cut};

/// The newest line of its history, which is that word.
pub fn render(incident: &Incident, paint: Paint) -> String {
    let Incident { id, severity, kind, state, .. } = incident;
    let last = incident.timeline.last().map_or("", |entry| entry.text.as_str());
    let severity = paint.severity(*severity, severity.as_str());
    let rest = cut(&format!("  {kind}  {state}: {}", clean(last)), WIDTH - 8);
    format!("{id}  {severity}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incidents::sample;

    #[test]
    fn the_word_comes_back_with_where_the_incident_stands() {
        let line = render(&sample::noisy_neighbour(), Paint::Plain);
        insta::assert_snapshot!(line, @"#2  P3  noisy-neighbour  acknowledged: acknowledged");
    }
}
