"""Gateways: HAProxy in front of services."""
