//! Tells one thing: words, request, sending, verdict. What is to be told, and what becomes of it,
//! [`crate::delivery`] decides.

use std::collections::BTreeMap;

use gpuwarden_proto::time::Timestamp;

use crate::config::{Destination, Settings};
use crate::delivery::{DestinationName, Policy, Send};
use crate::destination::{Letter, Verdict};
use crate::message::template::Templates;
use crate::sender::{NoSender, Sender};

/// All destinations, and what it takes to tell them.
#[derive(Debug)]
pub struct Teller {
    destinations: BTreeMap<DestinationName, Destination>,
    templates: Templates,
    sender: Sender,
}

impl Teller {
    /// One for these settings; with what people should know, such as what is wrong with their
    /// templates, each in a sentence.
    ///
    /// # Errors
    ///
    /// Nothing can be sent at all.
    pub fn new(settings: Settings) -> Result<(Self, Vec<String>), NoSender> {
        let sender = Sender::new(settings.ca_file.as_deref())?;
        let (templates, mut faults) = settings.templates();
        if sender.trusts_nobody() {
            let what =
                "this system trusts no certificate authority, so nothing can be told over TLS";
            faults.push(format!("{what} (install ca-certificates, or name a notify.ca_file)"));
        }
        let named = |it: Destination| (it.name.clone(), it);
        let destinations = settings.destinations.into_iter().map(named).collect();
        Ok((Self { destinations, templates, sender }, faults))
    }

    /// What [`crate::delivery::Delivery`] goes by.
    #[must_use]
    pub fn policies(&self) -> BTreeMap<DestinationName, Policy> {
        let policy =
            |(name, it): (&DestinationName, &Destination)| (name.clone(), it.policy.clone());
        self.destinations.iter().map(policy).collect()
    }

    /// A destination by its name.
    #[must_use]
    pub fn destination(&self, name: &DestinationName) -> Option<&Destination> {
        self.destinations.get(name)
    }

    /// Tells it, within half a minute; `clock` is asked before and after.
    pub async fn tell(&self, send: &Send, clock: impl Fn() -> Timestamp) -> Verdict {
        let Some(destination) = self.destinations.get(&send.destination) else {
            return Verdict::FallBack(format!("there is no destination `{}`", send.destination));
        };
        let words = self.templates.words(&send.notice);
        let letter = Letter {
            key: &send.key,
            notice: &send.notice,
            words: &words,
            previous: send.previous.as_ref(),
            now: clock(),
        };
        match destination.channel.render(&letter) {
            Ok(request) => {
                let answer = self.sender.send(&request).await;
                destination.channel.judge(&request, &answer, clock())
            }
            Err(unfit) => Verdict::Refused(unfit.to_string()),
        }
    }
}
