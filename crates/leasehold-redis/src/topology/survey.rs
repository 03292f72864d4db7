//! One question to several servers.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use leasehold_core::BackendError;
use tokio::time::{Instant, timeout_at};

use super::unavailable;

/// The answer that most give: at once when more than half of all agree, else that of most of those who answer within
/// `limit`, and of two that as many give, the one that came first.
///
/// # Errors
/// If nobody answers, why: a refusal rather than a failure that may pass.
pub(super) async fn survey<T: PartialEq>(
    questions: impl IntoIterator<Item = impl Future<Output = Result<T, BackendError>>>,
    limit: Duration,
) -> Result<T, BackendError> {
    let mut questions: FuturesUnordered<_> = questions.into_iter().collect();
    let (all, deadline) = (questions.len(), Instant::now() + limit);
    let mut answers: Vec<(T, usize)> = Vec::new();
    let mut failure = None;
    while let Ok(Some(answer)) = timeout_at(deadline, questions.next()).await {
        match answer {
            Ok(answer) => {
                let at = answers.iter().position(|(known, _)| *known == answer).unwrap_or_else(|| {
                    answers.push((answer, 0));
                    answers.len() - 1
                });
                answers[at].1 += 1;
                if answers[at].1 * 2 > all {
                    return Ok(answers.swap_remove(at).0);
                }
            }
            Err(error) if failure.as_ref().is_none_or(BackendError::is_transient) => failure = Some(error),
            Err(_) => {}
        }
    }
    let most = answers.iter().map(|(_, count)| *count).max();
    match answers.into_iter().find(|(_, count)| Some(*count) == most) {
        Some((answer, _)) => Ok(answer),
        None => Err(failure.unwrap_or_else(|| unavailable(format!("nobody answered within {limit:?}")))),
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures::future::{BoxFuture, FutureExt};
    use leasehold_core::BackendErrorKind;

    use super::*;

    fn says(answer: &'static str) -> BoxFuture<'static, Result<&'static str, BackendError>> {
        ready(Ok(answer)).boxed()
    }

    fn fails(kind: BackendErrorKind) -> BoxFuture<'static, Result<&'static str, BackendError>> {
        ready(Err(BackendError::new(kind, "no"))).boxed()
    }

    const LIMIT: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn one_that_lags_behind_decides_nothing_while_the_others_answer() {
        let began = Instant::now();
        assert_eq!(survey([says("old"), says("new"), says("new")], LIMIT).await.unwrap(), "new");
        assert_eq!(survey([pending().boxed(), says("new"), says("new")], LIMIT).await.unwrap(), "new");
        assert_eq!(began.elapsed(), Duration::ZERO, "nobody waits for the last one");
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_answer_is_passed_over() {
        use BackendErrorKind::Unavailable;
        let silent = || pending().boxed();
        let began = Instant::now();
        assert_eq!(survey([silent(), says("one"), silent()], LIMIT).await.unwrap(), "one");
        assert_eq!(began.elapsed(), LIMIT);
        assert_eq!(
            survey([fails(Unavailable), says("one"), fails(Unavailable)], LIMIT).await.unwrap(),
            "one"
        );
        assert_eq!(survey([silent(), silent()], LIMIT).await.unwrap_err().kind(), Unavailable);
        let nobody: [BoxFuture<Result<&str, _>>; 0] = [];
        let error = survey(nobody, LIMIT).await.unwrap_err();
        assert_eq!(error.kind(), Unavailable);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_says_more_than_a_failure() {
        use BackendErrorKind::{InvalidConfig, Unavailable};
        for failures in [[Unavailable, InvalidConfig, Unavailable], [InvalidConfig, Unavailable, Unavailable]]
        {
            let error = survey(failures.map(fails), LIMIT).await.unwrap_err();
            assert_eq!(error.kind(), InvalidConfig);
        }
    }
}
