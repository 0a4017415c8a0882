"""The whole thing: real server and client processes, real peers (nginx, HAProxy, curl), on loopback and in network namespaces."""
