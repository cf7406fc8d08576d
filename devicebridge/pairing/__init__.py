"""Pairing: who is in reach, which driver reads them, the bond, one test reading, and the config's own table.

The commands are thin over this, so that a page in the room can do the same.
"""
