"""kafka_admin.py ADDRESS topic NAME: how many partitions it has, and its cleanup.policy.
kafka_admin.py ADDRESS forbid: from now on nobody may create topics, but all else."""
import sys

from confluent_kafka.admin import (AclBinding, AclOperation, AclPermissionType, AdminClient,
                                   ConfigResource, ResourcePatternType, ResourceType)

address, what, *names = sys.argv[1:]
admin = AdminClient({'bootstrap.servers': address})
if what == 'topic':
    resource = ConfigResource(ConfigResource.Type.TOPIC, names[0])
    config = admin.describe_configs([resource])[resource].result()
    partitions = admin.list_topics(names[0]).topics[names[0]].partitions
    print(len(partitions), config['cleanup.policy'].value)
else:
    allowed = {ResourceType.TOPIC: ('READ', 'WRITE', 'DESCRIBE', 'DESCRIBE_CONFIGS'),
               ResourceType.BROKER: ('CLUSTER_ACTION', 'DESCRIBE', 'IDEMPOTENT_WRITE')}
    rules = [AclBinding(kind, '*' if kind == ResourceType.TOPIC else 'kafka-cluster', ResourcePatternType.LITERAL,
                        'User:*', '*', AclOperation[operation], AclPermissionType.ALLOW)
             for kind, operations in allowed.items() for operation in operations]
    for result in admin.create_acls(rules).values():
        result.result()
