from django.db import models


class Community(models.Model):
    guild_id = models.DecimalField(max_digits=20, decimal_places=0, unique=True)
    name = models.TextField()
    settings = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "communities"
        managed = False


class Reminder(models.Model):
    community = models.ForeignKey(Community, on_delete=models.CASCADE)
    text = models.TextField()
