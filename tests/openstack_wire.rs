//! The OpenStack driver against the awkward answers of real clouds, served by a mock on this machine.

#[path = "openstack_wire/attached.rs"]
mod attached;
#[path = "openstack_wire/create.rs"]
mod create;
#[path = "openstack_wire/fake.rs"]
mod fake;
#[path = "openstack_wire/floating.rs"]
mod floating;
#[path = "openstack_wire/listing.rs"]
mod listing;
#[path = "openstack_wire/login.rs"]
mod login;
#[path = "openstack_wire/old.rs"]
mod old;
#[path = "openstack_wire/order.rs"]
mod order;
#[path = "openstack_wire/place.rs"]
mod place;
#[path = "openstack_wire/quota.rs"]
mod quota;
#[path = "openstack_wire/refusal.rs"]
mod refusal;
#[path = "wire/tls.rs"]
mod tls;
#[path = "openstack_wire/trace.rs"]
mod trace;
