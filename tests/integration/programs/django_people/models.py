"""Users whose keys are no number."""

from uuid import uuid4

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models


class UuidUser(AbstractBaseUser):
    """A user with a UUID."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    name = models.CharField(max_length=40, unique=True)
    USERNAME_FIELD = "name"
    objects = BaseUserManager()


class NamedUser(AbstractBaseUser):
    """A user who is known by name."""

    name = models.CharField(max_length=40, primary_key=True)
    USERNAME_FIELD = "name"
    objects = BaseUserManager()
