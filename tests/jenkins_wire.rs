//! The Jenkins driver against the answers of a controller, as they were seen on a running one, and against odd ones; served
//! by a mock on this machine.

#[path = "jenkins_wire/asking.rs"]
mod asking;
#[path = "jenkins_wire/changing.rs"]
mod changing;
#[path = "jenkins_wire/enrolling.rs"]
mod enrolling;
#[path = "jenkins_wire/fake.rs"]
mod fake;
#[path = "wire/held_port.rs"]
mod held_port;
#[path = "jenkins_wire/listing.rs"]
mod listing;
#[path = "jenkins_wire/login.rs"]
mod login;
#[path = "jenkins_wire/place.rs"]
mod place;
#[path = "jenkins_wire/queue.rs"]
mod queue;
#[path = "wire/tls.rs"]
mod tls;
#[path = "jenkins_wire/trouble.rs"]
mod trouble;
#[path = "jenkins_wire/withdrawing.rs"]
mod withdrawing;
