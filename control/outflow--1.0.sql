/* control/outflow--1.0.sql */

-- complain if the script is sourced in psql
\echo Use "CREATE EXTENSION outflow" to load this file. \quit

