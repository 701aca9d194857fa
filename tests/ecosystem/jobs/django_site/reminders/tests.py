from django.test import TestCase

from reminders.models import Community, Reminder


class ReminderTest(TestCase):
    def test_goes_with_its_community(self):
        lab = Community.objects.create(guild_id=2, name="Lab")
        Reminder.objects.create(community=lab, text="feed the cat")
        lab.delete()
        self.assertFalse(Reminder.objects.exists())
