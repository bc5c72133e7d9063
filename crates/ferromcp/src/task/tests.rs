use ferromcp_core::Principal;

use super::*;

#[tokio::test]
async fn a_task_of_somebody_else_looks_unknown() {
    let tasks = Tasks::new(TaskLimits::default());
    let owner = Principal::unrestricted("a", "ada");
    let id: Arc<str> = "s.1".into();
    let end = Instant::now() + Duration::from_secs(60);
    let record = Record::new(Arc::clone(&id), owner.clone(), TaskLimits::default(), end, None);
    tasks.store().by_id.insert(Arc::clone(&id), Arc::new(record));
    assert!(tasks.find(&id, &owner).is_some());
    assert!(tasks.find(&id, &Principal::local()).is_none());
    let namesake = Principal::unrestricted("b", "ada");
    assert!(tasks.find(&id, &namesake).is_none());
}
