#!/usr/bin/python3
"""seed.py identity|cloud|places: puts into a new cloud what its users expect to find. What is there already is left alone.

One Python process, because a call of the openstack command takes about two seconds.
"""
import ipaddress
import os
import sys

import openstack

FLAVORS = (('m1.tiny', 512, 1, 1), ('m1.small', 2048, 1, 20), ('ci.medium', 4096, 2, 40), ('ci.large', 8192, 4, 80))
SERVICES = (('compute', 'nova', 8774, '/v2.1'), ('image', 'glance', 9292, ''), ('placement', 'placement', 8778, ''),
            ('network', 'neutron', 9696, ''))
PROJECT = 'ci'
# Availability zones and the hypervisors in them.
ZONES = {'north': ('devcloud',), 'south': ('devcloud-south',)}


def named(items, name):
    return next((item for item in items if item.name == name), None)


def seed_identity(admin):
    """Keystone only: the other services cannot check a token before they find their account and endpoints here."""
    keystone = admin.identity
    roles = {role.name: role for role in keystone.roles()}
    accounts = (('service', os.environ['SERVICE_PASSWORD'], 'service', ('admin', 'service')),
                ('nodepool', os.environ['USER_PASSWORD'], PROJECT, ('member',)))
    for user_name, password, project_name, role_names in accounts:
        project = named(keystone.projects(), project_name) or keystone.create_project(
            name=project_name, domain_id='default')
        user = named(keystone.users(), user_name) or keystone.create_user(
            name=user_name, password=password, default_project_id=project.id, domain_id='default')
        for role_name in role_names:
            if role_name not in roles:
                roles[role_name] = keystone.create_role(name=role_name)
            keystone.assign_project_role_to_user(project, user, roles[role_name])
    known = {service.type: service for service in keystone.services()}
    endpoints = {(endpoint.service_id, endpoint.interface) for endpoint in keystone.endpoints()}
    for kind, name, port, path in SERVICES:
        service = known.get(kind) or keystone.create_service(type=kind, name=name)
        for interface in ('public', 'internal', 'admin'):
            if (service.id, interface) not in endpoints:
                keystone.create_endpoint(service_id=service.id, interface=interface, region_id='RegionOne',
                                         url=f'http://{os.environ["LOOPBACK"]}:{port}{path}')


def network(admin, name, cidr, project, **options):
    made = named(admin.network.networks(name=name), name) or admin.network.create_network(
        name=name, project_id=project, **options)
    first = ipaddress.ip_network(cidr)[0]
    # Without DHCP no port waits for an agent.
    subnet = named(admin.network.subnets(name=f'{name}-v4'), f'{name}-v4') or admin.network.create_subnet(
        name=f'{name}-v4', network_id=made.id, project_id=project, ip_version=4, cidr=cidr, enable_dhcp=False,
        gateway_ip=str(first + 1), allocation_pools=[{'start': str(first + 10), 'end': str(first + 8190)}])
    return made, subnet


def seed_networks(admin, project_id):
    private, private_subnet = network(admin, 'private', os.environ['PRIVATE_CIDR'], project_id)
    public, _ = network(admin, 'public', os.environ['PUBLIC_CIDR'], admin.current_project_id, is_router_external=True,
                        provider_network_type='flat', provider_physical_network='outside')
    router = named(admin.network.routers(name='router'), 'router') or admin.network.create_router(
        name='router', project_id=project_id, external_gateway_info={'network_id': public.id})
    if not list(admin.network.ports(device_id=router.id, network_id=private.id)):
        admin.network.add_interface_to_router(router, subnet_id=private_subnet.id)


def seed_cloud(admin, user):
    project_id = admin.identity.find_project(PROJECT, ignore_missing=False).id
    for name, ram, vcpus, disk in FLAVORS:
        if not admin.compute.find_flavor(name):
            admin.compute.create_flavor(name=name, ram=ram, vcpus=vcpus, disk=disk, is_public=True)
    quota = {'instances': 500, 'cores': 4000, 'ram': 4096000, 'key_pairs': 200, 'metadata_items': 256}
    answer = admin.compute.put(f'/os-quota-sets/{project_id}', json={'quota_set': quota})
    openstack.exceptions.raise_from_response(answer)
    admin.network.update_quota(project_id, ports=2000, floating_ips=500, security_groups=200, security_group_rules=2000)
    seed_networks(admin, project_id)
    if not named(admin.image.images(name='debian-12'), 'debian-12'):
        admin.create_image('debian-12', filename=f'{os.environ["STATE"]}/base.qcow2', disk_format='qcow2',
                           container_format='bare', visibility='public', min_disk=1, wait=True,
                           allow_duplicates=True, meta={'os_distro': 'debian'})
    if not user.compute.find_keypair('nodepool'):
        with open(f'{os.environ["STATE"]}/keys/nodepool.pub', encoding='utf-8') as key:
            user.compute.create_keypair(name='nodepool', public_key=key.read().strip())


def seed_places(admin):
    """What came to the cloud later, so that one that was made before gets it too: a network that no router leads to,
    and a zone for each hypervisor."""
    project_id = admin.identity.find_project(PROJECT, ignore_missing=False).id
    network(admin, 'storage', os.environ['STORAGE_CIDR'], project_id)
    for name, hosts in ZONES.items():
        zone = named(admin.compute.aggregates(), name) or admin.compute.create_aggregate(
            name=name, availability_zone=name)
        for host in hosts:
            if host not in (zone.hosts or ()):
                admin.compute.add_host_to_aggregate(zone, host)


if __name__ == '__main__':
    as_admin = openstack.connect(cloud='devcloud-admin')
    if sys.argv[1] == 'identity':
        seed_identity(as_admin)
    elif sys.argv[1] == 'places':
        seed_places(as_admin)
    else:
        seed_cloud(as_admin, openstack.connect(cloud='devcloud'))
