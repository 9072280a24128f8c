//! What is asked of the work on incidents, and of who is on call.

use gpuwarden_proto::convert::{Asked, Refused};
use gpuwarden_proto::oncall::{OnCall, TakeOver};
use gpuwarden_proto::pb;
use gpuwarden_proto::vocab::IncidentId;
use gpuwarden_proto::work::Work;
use tonic::Code;

use super::{Client, ClientError, failure, timed};

impl Client {
    /// The work on one incident; `None` where the aggregator knows of none.
    pub async fn work(&mut self, id: IncidentId) -> Result<Option<Work>, ClientError> {
        let answer = self.work.get_work(timed(pb::GetWorkRequest { id: id.0 })).await;
        match answer {
            Ok(answer) => Ok(answer.into_inner().work.map(TryInto::try_into).transpose()?),
            // An aggregator of an older version has none.
            Err(status) if matches!(status.code(), Code::NotFound | Code::Unimplemented) => {
                Ok(None)
            }
            Err(status) => Err(failure(&self.url, &status)),
        }
    }

    /// The work on all incidents that are not closed.
    pub async fn works(&mut self) -> Result<Vec<Work>, ClientError> {
        let answer = self.work.list_work(timed(pb::ListWorkRequest { limit: 0 })).await;
        let answer = answer.map_err(|status| failure(&self.url, &status))?.into_inner();
        let works: Result<_, Refused> = answer.work.into_iter().map(TryInto::try_into).collect();
        Ok(works?)
    }

    /// Gives a person's order, and gives the work as it then stands.
    pub async fn order(&mut self, asked: Asked) -> Result<Work, ClientError> {
        let no_order = || ClientError::Denied("that is not ordered this way".to_owned());
        let request = pb::OrderRequest::of(asked).ok_or_else(no_order)?;
        let answer = self.work.order(timed(request)).await;
        let answer = answer.map_err(|status| failure(&self.url, &status))?.into_inner();
        let missing = || ClientError::Failed {
            url: self.url.clone(),
            reason: "it answered without the work".to_owned(),
        };
        Ok(answer.work.ok_or_else(missing)?.try_into()?)
    }

    /// Who is on call.
    pub async fn on_call(&mut self) -> Result<Vec<OnCall>, ClientError> {
        let answer = self.on_call.list_on_call(timed(pb::ListOnCallRequest {})).await;
        let answer = answer.map_err(|status| failure(&self.url, &status))?.into_inner();
        let on: Result<_, Refused> = answer.schedules.into_iter().map(TryInto::try_into).collect();
        Ok(on?)
    }

    /// Somebody takes over for a time; who is on call then.
    pub async fn take_over(&mut self, asked: TakeOver) -> Result<Vec<OnCall>, ClientError> {
        let answer = self.on_call.take_over(timed(pb::TakeOverRequest::from(asked))).await;
        let answer = answer.map_err(|status| failure(&self.url, &status))?.into_inner();
        let on: Result<_, Refused> = answer.schedules.into_iter().map(TryInto::try_into).collect();
        Ok(on?)
    }
}
