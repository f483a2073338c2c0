"""What each side of an exchange checks, decides and answers: functions and small state objects that never wait."""
